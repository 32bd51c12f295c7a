import { vi } from 'vitest';
import { type Later, useCleanup } from '../harness/cleanup.ts';

/** Only to end a test that hangs: on busy cores recovery takes several times as long as on idle ones. */
const PATIENCE_MS = 240_000;

/** Gives the tests of the file their time, and a way to give back what they started. */
export function useFaults(): Later {
  vi.setConfig({ testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS });
  return useCleanup();
}
