import { defineConfig } from 'vitest/config';

/** Tests that need programs which npm cannot install. `npm run test:edges` installs these and runs the tests. */
export default defineConfig({
  test: {
    pool: 'forks',
    // They start whole clusters and measure nothing, so one at a time.
    maxWorkers: 1,
    reporters: ['default', './test/harness/reporter.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 60_000,
    include: ['test/edges/**/*.test.ts'],
    globalSetup: 'test/harness/global-setup.ts',
  },
});
