import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity, signalProcess } from './process-table.ts';

/** `identity` differs between two processes that get the same pid, one after the other. */
type Entry = { pid: number; identity: string };

/**
 * Writes the pid of a running process to a file. If the supervisor is killed, its next start finds the process there.
 */
export function writePidFile(file: string, pid: number): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ pid, identity: processIdentity(pid) ?? '' }));
}

/** The pid in the file, if this process still runs. A later process with the same pid does not count. */
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

/** Stops the process in a pid file. @returns whether the process was still running */
export async function stopLeftover(file: string, signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
  const pid = livePid(file);
  if (pid !== undefined) {
    signalProcess(pid, signal);
    // A process that is stopped (SIGSTOP) acts on no other signal before it goes on.
    signalProcess(pid, 'SIGCONT');
    if (!(await hasEnded(file, graceMs))) {
      signalProcess(pid, 'SIGKILL');
      await hasEnded(file, 5_000);
    }
  }
  rmSync(file, { force: true });
  return pid !== undefined;
}

/**
 * Takes a lock. The lock is free again when its process ends.
 * @returns undefined = the lock was taken; else the pid of the process that holds it
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
    // Two starts may both find a stale lock and remove it. After this pause, only the last one sees its own pid.
    await sleep(100);
    const now = livePid(file);
    return now === process.pid ? undefined : now;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Creating a hard link is atomic, so no process reads a half-written lock. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function hasEnded(file: string, graceMs: number): Promise<boolean> {
  const end = Date.now() + graceMs;
  while (livePid(file) !== undefined) {
    if (Date.now() > end) return false;
    await sleep(50);
  }
  return true;
}
