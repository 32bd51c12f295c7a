import { afterEach } from 'vitest';
import { createReleasers } from '../../process/cleanup.ts';

export type Later = (name: string, release: () => Promise<void> | void) => void;

/** Gives back what a test of the file has started when the test ends, passed or failed; the newest first. */
export function useCleanup(): Later {
  let cleanup = createReleasers();
  afterEach(async () => {
    const current = cleanup;
    cleanup = createReleasers();
    await current.releaseAll();
  });
  return (name, release) => cleanup.add(name, release);
}
