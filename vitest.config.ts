import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Test files run in processes, two at a time for two cores: the Temporal bridge cannot live in worker threads.
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './test/harness/reporter.ts'],
    // Only to end what hangs: tests share their cores with others.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    projects: [
      // Needs no service: nothing is started. Files share processes, since importing everything anew is half of their time.
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          exclude: ['test/unit/workflows/**'],
          isolate: false,
        },
      },
      // A replay runs workflows in the process of the test. For this the SDK installs a hook for every promise of the process,
      // which stays and breaks other tests.
      { extends: true, test: { name: 'unit-replay', include: ['test/unit/workflows/**/*.test.ts'] } },
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
