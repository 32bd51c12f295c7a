import { defineConfig } from 'vitest/config';

// Two cores: two test files at once, each in a process of its own (the Temporal bridge cannot live in worker threads).
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: 'test/harness/global-setup.ts',
    reporters: ['default', './test/harness/reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
