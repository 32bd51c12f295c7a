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
    include: ['test/long/**/*.test.ts', 'test/integration/supervisor/answers.test.ts'],
    env: { WEDGED_AT_ONCE: '200' },
    globalSetup: 'test/harness/global-setup.ts',
  },
});
