import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';

/**
 * Ends the output with `N passed, N failed`. What broke outside a test (an import, a hook, the setup of the run, an error
 * that nobody caught) counts as failed too.
 */
export default class CountReporter implements Reporter {
  // Stands until a run has ended: a run whose setup failed never gets there.
  #passed = 0;
  #failed = 1;
  #skipped = 0;

  onInit(): void {
    // The default reporter prints its summary, and the teardown its troubles, before the process ends: this comes last.
    process.once('exit', (code) => {
      // What went wrong after the last test, such as something left behind, counts too.
      if (code !== 0 && this.#failed === 0) this.#failed = 1;
      const skipped = this.#skipped === 0 ? '' : `, ${this.#skipped} skipped`;
      process.stdout.write(`${this.#passed} passed, ${this.#failed} failed${skipped}\n`);
    });
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const states = modules.flatMap((each) => [...each.children.allTests()].map((test) => test.result().state));
    const count = (state: string): number => states.filter((each) => each === state).length;
    const brokenSuites = modules
      .flatMap((each) => [each, ...each.children.allSuites()])
      .filter((suite) => suite.errors().length > 0);
    this.#passed = count('passed');
    this.#failed = count('failed') + brokenSuites.length + errors.length + (reason === 'interrupted' ? 1 : 0);
    this.#skipped = states.length - count('passed') - count('failed');
    // Whatever vitest calls a failure shows, even if none of the above has counted it.
    if (reason === 'failed' && this.#failed === 0) this.#failed = 1;
  }
}
