import { defineConfig } from 'vitest/config';

/** Tests that start nothing but a database and the API in their own process: like unit tests, their files share processes. */
const SHARED = '{store,api,mls,key-packages,inbox,limits}';

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
    // As `waitUntil`: what takes a moment alone takes seconds on a machine whose cores are busy.
    expect: { poll: { timeout: 30_000, interval: 20 } },
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
          name: 'requests',
          include: [`test/integration/${SHARED}/**/*.test.ts`],
          globalSetup: 'test/harness/global-setup.ts',
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'services',
          include: ['test/{integration,e2e,model,faults}/**/*.test.ts'],
          exclude: [`test/integration/${SHARED}/**`],
          globalSetup: 'test/harness/global-setup.ts',
        },
      },
    ],
  },
});
