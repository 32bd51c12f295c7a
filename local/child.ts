import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writePidFile } from './pid-file.ts';

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type Child = {
  readonly pid: number;
  /** Resolves when the process has ended, however that came; never rejects. */
  readonly exited: Promise<Exit>;
  running: () => boolean;
  /** Asks for an end by `signal` and insists with SIGKILL after `graceMs`. Safe to call again. */
  stop: (signal: NodeJS.Signals, graceMs: number) => Promise<void>;
  /** The last lines it wrote to its log since it was started. */
  tail: (lines?: number) => string;
};

export type ChildOptions = {
  command: string;
  args: string[];
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** Opens an IPC channel, which closes when this process dies: see `exitWithParent`. @default false */
  ipc?: boolean;
  /** Kept while the process runs. */
  pidFile?: string;
};

/**
 * Starts a process in a group of its own, with its output in a file.
 * The own group keeps the terminal's Ctrl-C away from it: only the supervisor gets that, and stops everything in order.
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { command, args, logFile, ipc = false, pidFile, env, cwd, uid, gid } = options;
  mkdirSync(path.dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a+');
  const from = fstatSync(log).size;
  let child: ChildProcess;
  try {
    child = spawn(command, args, {
      detached: true,
      stdio: ipc ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      ...(env === undefined ? {} : { env }),
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    // Noted before anything is awaited: a supervisor killed in the next moment must find it at its next start.
    if (child.pid !== undefined && pidFile !== undefined) writePidFile(pidFile, child.pid);
  } finally {
    closeSync(log);
  }
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      if (pidFile !== undefined) rmSync(pidFile, { force: true });
      resolve({ code, signal });
    });
  });
  await once(child, 'spawn');
  return {
    pid: child.pid ?? 0,
    exited,
    running: () => child.exitCode === null && child.signalCode === null,
    async stop(signal, graceMs) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      const insist = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(insist);
    },
    tail: (lines = 20) => readTail(logFile, from, lines),
  };
}

/** How a process ended, in words. */
export function describeExit({ code, signal }: Exit): string {
  return signal ?? `exit code ${code ?? 'unknown'}`;
}

function readTail(file: string, from: number, lines: number): string {
  const log = openSync(file, 'r');
  try {
    const { size } = fstatSync(log);
    // 16 KiB holds twenty lines of any log here.
    const start = Math.max(from, size - 16_384);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    const read = readSync(log, buffer, 0, buffer.length, start);
    return buffer.toString('utf8', 0, read).trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    closeSync(log);
  }
}
