import { defineConfig } from 'vitest/config';

/** Whole deployments, migrations and exercises, and what is tried with more of it than `npm test` has time for. */
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './test/harness/reporter.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
    // As `waitUntil`: what takes a moment alone takes seconds on a machine whose cores are busy.
    expect: { poll: { timeout: 30_000, interval: 20 } },
    // The last four also run in `npm test`, with less of it.
    include: [
      'test/long/**/*.test.ts',
      'test/integration/supervisor/answers.test.ts',
      'test/e2e/conversation/races.test.ts',
      'test/faults/chaos.test.ts',
      'test/integration/client/killed.test.ts',
    ],
    env: { WEDGED_AT_ONCE: '200', RACE_REPEATS: '40', CHAOS_FAULTS: 'all', KILLED_RUNS: '100' },
    globalSetup: 'test/harness/global-setup.ts',
  },
});
