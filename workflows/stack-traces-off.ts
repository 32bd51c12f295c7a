/**
 * Preloaded into the sandbox before globals are frozen. The SDK builds a stack trace for every promise of workflow code;
 * without them a run costs a half to a quarter of the CPU. Price: no stacks in workflow failures.
 */
Error.stackTraceLimit = 0;
