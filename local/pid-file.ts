import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity, signalProcess } from './process-table.ts';

type Entry = { pid: number; identity: string };

/** Notes a running process, so that a later start finds what a killed supervisor left behind. */
export function writePidFile(file: string, pid: number): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ pid, identity: processIdentity(pid) ?? '' }));
}

/** The pid in the file if that very process (not a later one with its number) still runs. */
export function livePid(file: string): number | undefined {
  let entry: Partial<Entry>;
  try {
    entry = JSON.parse(readFileSync(file, 'utf8')) as Partial<Entry>;
  } catch {
    return undefined;
  }
  const { pid, identity } = entry;
  return pid !== undefined && processIdentity(pid) === identity ? pid : undefined;
}

/** Stops the process that a pid file names, if it still runs; returns whether it did. */
export async function stopLeftover(file: string, signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
  const pid = livePid(file);
  if (pid !== undefined) {
    signalProcess(pid, signal);
    if (!(await gone(file, graceMs))) {
      signalProcess(pid, 'SIGKILL');
      await gone(file, 5_000);
    }
  }
  rmSync(file, { force: true });
  return pid !== undefined;
}

/**
 * Takes a lock that ends with the process holding it.
 * @returns the pid of the holder when somebody else has it
 */
export async function takeLock(file: string): Promise<number | undefined> {
  mkdirSync(path.dirname(file), { recursive: true });
  const own = `${file}.${process.pid}`;
  writePidFile(own, process.pid);
  try {
    if (tryLink(own, file)) return undefined;
    const holder = livePid(file);
    if (holder !== undefined) return holder;
    rmSync(file, { force: true });
    tryLink(own, file);
    // Two starts may both have found the old lock dead and removed it; after this pause only the last one sees its own.
    await sleep(100);
    const now = livePid(file);
    return now === process.pid ? undefined : now;
  } finally {
    rmSync(own, { force: true });
  }
}

/** A hard link is created whole or not at all, so nobody ever reads a half-written lock. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function gone(file: string, graceMs: number): Promise<boolean> {
  const end = Date.now() + graceMs;
  while (livePid(file) !== undefined) {
    if (Date.now() > end) return false;
    await sleep(50);
  }
  return true;
}
