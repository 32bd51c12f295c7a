import { onTestFinished, vi } from 'vitest';

/** Messages of the errors that are reported as ones that nobody caught, until the test ends. */
export function reportedErrors(): readonly string[] {
  const reported: string[] = [];
  vi.stubGlobal('reportError', (error: Error) => void reported.push(error.message));
  onTestFinished(() => void vi.unstubAllGlobals());
  return reported;
}
