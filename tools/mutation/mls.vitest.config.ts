import { defineConfig } from 'vitest/config';

/**
 * The tests that Stryker runs for each mutant of `mls/`. The checks of whole messages are tested through the API, so these need
 * PostgreSQL. They run in threads: without those that need a worker, whose native code cannot live in a thread.
 */
export default defineConfig({
  test: {
    include: ['test/{unit,integration}/mls/**/*.test.ts'],
    exclude: ['test/integration/mls/{admin,workflow-path}.test.ts'],
    globalSetup: 'test/harness/global-setup.ts',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
  },
});
