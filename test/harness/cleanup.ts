import { afterEach } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';

export type Later = (name: string, release: () => Promise<void> | void) => void;

/** Gives back what a test of the file has started when the test ends, passed or failed; the newest first. */
export function useCleanup(): Later {
  let cleanup = createCleanup();
  afterEach(async () => {
    const current = cleanup;
    cleanup = createCleanup();
    await current.run();
  });
  return (name, release) => cleanup.add(name, release);
}
