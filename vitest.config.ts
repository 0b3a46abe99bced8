import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Tests that start processes, servers or emulators; everything else is a unit test. */
const integration = ['test/**/*.integration.test.ts'];
/** Judged by the clock, so they want a machine that does nothing else: `npm run scenarios`, not part of `npm test`. */
const scenarios = ['test/**/*.scenarios.test.ts'];

export default defineConfig({
  test: {
    // Integration tests wait for timers and processes most of the time: one more beside each other than there are cores.
    maxWorkers: availableParallelism() + 1,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts', 'functions/handlers/**/*.test.ts'],
          exclude: [...integration, ...scenarios, 'test/simulation/**', 'test/infra/**', 'test/console/**'],
          // Loading the same modules anew for each of a hundred files takes as long as the tests themselves.
          isolate: false,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/console/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'infra',
          include: ['test/infra/**/*.test.ts'],
          exclude: integration,
          // The first template of a process bundles every program: seconds, and minutes on a machine that is busy otherwise.
          testTimeout: 200_000,
          // Loading the CDK takes seconds; these tests change nothing that they share.
          isolate: false,
        },
      },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 120_000 } },
      { test: { name: 'scenarios', include: scenarios, fileParallelism: false, sequence: { groupOrder: 1 } } },
      {
        test: {
          name: 'integration',
          include: integration,
          exclude: ['test/simulation/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
