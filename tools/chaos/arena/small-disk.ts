import { execFileSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { atExit } from '../../harness/at-exit.ts';

/** A file system in memory whose size can change, for the data of Postgres. */
export interface SmallDisk {
  /** Leaves no more room than this. */
  readonly shrink: (freeBytes: number) => void;
  readonly grow: () => void;
  readonly unmount: () => void;
}

/** Sized for an hour of load; it takes memory only for what is in it. */
const SIZE_MB = 4096;

/** Mounts one at a folder. @returns why not, when this machine does not allow it */
export function mountSmallDisk(folder: string): SmallDisk | string {
  mkdirSync(folder, { recursive: true });
  const mount = (...options: string[]): void => {
    execFileSync('mount', ['-t', 'tmpfs', ...options, 'tmpfs', folder], { stdio: 'pipe' });
  };
  try {
    mount('-o', `size=${SIZE_MB}m,mode=755`);
  } catch (error) {
    return `no tmpfs can be mounted here (${error instanceof Error ? (error.message.split('\n').at(1) ?? error.message) : String(error)})`;
  }
  const unmount = (): void => void execFileSync('umount', ['--lazy', folder], { stdio: 'pipe' });
  // Before the folder around it is removed.
  const forget = atExit(unmount);
  const resize = (bytes: number): void => mount('-o', `remount,size=${bytes}`);
  return {
    shrink: (freeBytes) => {
      const { blocks, bfree, bsize } = statfsSync(folder);
      resize((blocks - bfree) * bsize + freeBytes);
    },
    grow: () => resize(SIZE_MB * 1024 * 1024),
    unmount: () => {
      forget();
      unmount();
    },
  };
}
