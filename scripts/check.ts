import { runChecks } from './checks.ts';

/** `npm run check`: format, lint and types. Resolves to the exit code. */
export async function main(): Promise<number> {
  const { passed, failed } = await runChecks();
  console.log(`${passed} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}
