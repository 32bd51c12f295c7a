import { defineConfig } from 'vitest/config';

/**
 * The tests that Stryker runs for each mutant: pure code only, so that no server is started. Without projects, because
 * Stryker's runner takes one set of options.
 */
export default defineConfig({
  test: {
    // Only to end what hangs, as in vitest.config.ts.
    testTimeout: 60_000,
    include: ['test/unit/{domain,workflows}/**/*.test.ts'],
    // A replay reads the built bundle, which has no mutants in it.
    exclude: ['test/unit/workflows/replay.test.ts'],
  },
});
