import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Each test file runs in a process of its own: the Temporal bridge cannot live in worker threads. Two cores, two files.
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './test/harness/reporter.ts'],
    // Only to end what hangs: tests share their cores with others.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    projects: [
      // Needs no service: nothing is started.
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'services',
          include: ['test/{integration,e2e,model,faults}/**/*.test.ts'],
          globalSetup: 'test/harness/global-setup.ts',
        },
      },
    ],
  },
});
