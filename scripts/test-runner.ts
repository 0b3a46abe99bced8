import { parseCLI, startVitest, type Vitest } from 'vitest/node';
import type { Totals } from './totals.ts';

/** Runs tests as `vitest run …args` would, and counts them. */
export async function runTests(args: readonly string[]): Promise<Totals> {
  const { filter, options } = parseCLI(['vitest', 'run', ...args]);
  const vitest = await startVitest('test', filter, { ...options, watch: false });
  const totals = count(vitest);
  await vitest.close();
  return totals;
}

function count(vitest: Vitest): Totals {
  const totals = { passed: 0, failed: 0, skipped: 0 };
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
  return totals;
}
