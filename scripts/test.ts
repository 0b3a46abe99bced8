import { parseCLI, startVitest, type Vitest } from 'vitest/node';
import { runChecks } from './checks.ts';

/** What a run came to, over checks and tests alike. */
interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * `npm test`: every check and every test; the last line says `N passed, N failed, N skipped` over all of them.
 * With arguments (files, `--project unit`, any option of vitest) it runs those tests alone, without the checks.
 * Resolves to the exit code.
 */
export async function main(args: string[]): Promise<number> {
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  if (args.length === 0) {
    const checks = await runChecks();
    totals.passed += checks.passed;
    totals.failed += checks.failed.length;
  }
  const { filter, options } = parseCLI(['vitest', 'run', ...args]);
  const vitest = await startVitest('test', filter, { ...options, watch: false });
  addTests(totals, vitest);
  await vitest.close();
  const { passed, failed, skipped } = totals;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}

function addTests(totals: Totals, vitest: Vitest): void {
  const modules = vitest.state.getTestModules();
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      // A test that never came to an end, for instance because its process died, did not pass.
      totals[state === 'pending' ? 'failed' : state] += 1;
    }
    // A file that does not load, or a suite whose hooks throw, has an error that belongs to no test.
    totals.failed += module.errors().length;
    for (const suite of module.children.allSuites()) totals.failed += suite.errors().length;
  }
  totals.failed += vitest.state.getUnhandledErrors().length;
  if (modules.length === 0) {
    console.error('no test matches');
    totals.failed += 1;
  }
}
