import { defineConfig } from 'vitest/config';

/**
 * The tests that Stryker runs for each mutant of `mls/`, apart from those of the other code: many mutants in constants run all
 * tests of their configuration. The tests prepare their groups with ts-mls alone, so that Stryker knows which test reaches
 * which line of `mls/`.
 */
export default defineConfig({
  test: {
    // Only to end what hangs, as in vitest.config.ts.
    testTimeout: 60_000,
    include: ['test/unit/mls/**/*.test.ts'],
  },
});
