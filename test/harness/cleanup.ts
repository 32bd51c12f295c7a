import { afterEach } from 'vitest';
import { createReleasers } from '../../process/cleanup.ts';

export type Later = (name: string, release: () => Promise<void> | void) => void;

/** What a test of the file gives back when it ends, however it ends; the newest first. */
export function useCleanup(): Later {
  let releasers = createReleasers();
  afterEach(async () => {
    const current = releasers;
    releasers = createReleasers();
    await current.releaseAll();
  });
  return (name, release) => releasers.add(name, release);
}
