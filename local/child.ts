import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writePidFile } from './pid-file.ts';

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

/** A running process. */
export type Child = {
  readonly pid: number;
  /** Resolves when the process has ended for any reason. Never rejects. */
  readonly exited: Promise<Exit>;
  running: () => boolean;
  /** Sends `signal`, and SIGKILL after `graceMs`. Resolves when the process has ended. May be called again. */
  stop: (signal: NodeJS.Signals, graceMs: number) => Promise<void>;
  /** The last lines of its log since its start. @param lines default 20 */
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
  /** Opens an IPC channel. It closes when this process ends: see `exitWithParent`. @default false */
  ipc?: boolean;
  /** File with the pid of the process. It exists while the process runs. */
  pidFile?: string;
};

/**
 * Starts a process in its own process group. Its output goes to a log file.
 * In its own group the process does not receive the Ctrl-C of the terminal. Only the supervisor receives it, and stops
 * all processes in order.
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
    // Written before the first await: if the supervisor is killed now, its next start still finds this process.
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
      // A process that is stopped (SIGSTOP) acts on no other signal before it goes on.
      child.kill('SIGCONT');
      const kill = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(kill);
    },
    tail: (lines = 20) => readTail(logFile, from, lines),
  };
}

/** Describes how a process ended: the signal or the exit code. */
export function describeExit({ code, signal }: Exit): string {
  return signal ?? `exit code ${code ?? 'unknown'}`;
}

function readTail(file: string, from: number, lines: number): string {
  const log = openSync(file, 'r');
  try {
    const { size } = fstatSync(log);
    // 16 KiB are enough for twenty lines of every log here.
    const start = Math.max(from, size - 16_384);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    const read = readSync(log, buffer, 0, buffer.length, start);
    return buffer.toString('utf8', 0, read).trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    closeSync(log);
  }
}
