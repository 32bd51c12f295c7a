/**
 * Preloaded into the sandbox before globals are frozen. The SDK builds a stack trace for each promise of workflow code.
 * Without these traces a run costs a half to a quarter of the CPU time. The price: workflow failures have no stacks.
 */
Error.stackTraceLimit = 0;
