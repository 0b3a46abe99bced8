import { runChecks } from './checks.ts';
import { testOnDynamoDBLocal } from './dynamodb-local.ts';
import { runTests } from './test-runner.ts';
import { sum, type Totals } from './totals.ts';

/**
 * `npm test`: every check and every test but the timed scenarios, those on DynamoDB Local included where there is Java; the last line says
 * `N passed, N failed, N skipped` over all of them.
 * With arguments (files, `--project unit`, any option of vitest) it runs those tests alone, without the rest.
 * Resolves to the exit code.
 */
export async function main(args: string[]): Promise<number> {
  const { passed, failed, skipped } = args.length > 0 ? await runTests(args) : await runEverything();
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}

async function runEverything(): Promise<Totals> {
  const checks = await runChecks();
  const checked = { passed: checks.passed, failed: checks.failed.length, skipped: 0 };
  return sum(checked, await runTests(['--project', '!scenarios']), await testOnDynamoDBLocal());
}
