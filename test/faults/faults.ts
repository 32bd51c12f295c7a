import { onTestFinished, vi } from 'vitest';
import type { Load } from '../../tools/chaos/load/load.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { type Later, useCleanup } from '../harness/cleanup.ts';

/** Only to end a test that hangs: on busy cores recovery takes several times as long as on idle ones. */
const PATIENCE_MS = 240_000;

/** Gives the tests of the file their time, and a way to give back what they started. */
export function useFaults(): Later {
  vi.setConfig({ testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS });
  return useCleanup();
}

/** Waits until the clients have had this many more successes. */
export async function untilMore(load: Load, count: number): Promise<void> {
  // A test that fails does not stop its load.
  onTestFinished(() => {
    load.tries.end();
    void load.stop();
  });
  const successes = (): number => load.tries.all.filter(({ failed }) => failed === undefined).length;
  const enough = successes() + count;
  await waitUntil(() => successes() >= enough, { what: `${count} requests succeed`, timeoutMs: 100_000, everyMs: 100 });
}

/** What clients could see of a fault, as sentences. */
export function failedTries({ tries }: Load): string[] {
  return tries.all.flatMap(({ what, failed, startedAt, endedAt }) =>
    failed === undefined ? [] : [`${what}: ${failed} after ${Math.round(endedAt - startedAt)} ms`],
  );
}
