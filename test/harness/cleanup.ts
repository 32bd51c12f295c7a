import { afterEach } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';

export type Later = (name: string, release: () => Promise<void> | void) => void;

/** What a test of the file gives back when it ends, however it ends; the newest first. */
export function useCleanup(): Later {
  let cleanup = createCleanup();
  afterEach(async () => {
    const current = cleanup;
    cleanup = createCleanup();
    await current.run();
  });
  return (name, release) => cleanup.add(name, release);
}
