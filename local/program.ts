import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, startChild, type Child } from './child.ts';
import { keepRunning, type KeepRunningOptions } from './keep-running.ts';
import type { Probe } from './probes.ts';

export type ProgramOptions = {
  name: string;
  /** A JavaScript file. It runs with the same Node.js as this process. */
  script: string;
  env: NodeJS.ProcessEnv;
  logFile: string;
  pidFile: string;
  /** Asks whether it is ready. */
  probe: () => Promise<Probe>;
  readyTimeoutMs: number;
  /** Time for running work after SIGTERM. Then the process is killed. */
  stopGraceMs: number;
  say: (line: string) => void;
  /** Ends the wait for readiness. */
  signal: AbortSignal;
  /** Called each time it is ready, or runs and waits for another part. */
  onReady: () => void;
} & Pick<KeepRunningOptions, 'onEnd' | 'wasExpected'>;

export type Program = { stop: () => Promise<void> };

/** A program that says for so long that it waits for another part does not keep up the start of the others. */
const patienceMs = 3_000;

/**
 * Starts a program and waits until it is ready, or waits for another part. After that, restarts the program each time it
 * ends unexpectedly.
 */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const { name, say, signal, stopGraceMs, onEnd, wasExpected } = options;
  const child = await startOnce(options);
  let state: Probe;
  try {
    state = await untilReady(child, options, signal);
  } catch (error) {
    await child.stop('SIGTERM', stopGraceMs);
    throw error;
  }
  let latest = child;
  const running = (one: Child): { exited: Child['exited']; stop: () => Promise<void> } => {
    latest = one;
    return { exited: one.exited, stop: () => one.stop('SIGTERM', stopGraceMs) };
  };
  const stopped = new AbortController();
  options.onReady();
  if (state === 'waits') {
    say(`${name}: waits for Temporal`);
    void sayWhenReady(child, options, stopped.signal, 'ready');
  }
  const kept = keepRunning({
    name,
    first: running(child),
    start: async () => {
      const again = await startOnce(options);
      void sayWhenReady(again, options, stopped.signal, 'ready again');
      return running(again);
    },
    // A killed process has written nothing about its end.
    details: ({ signal: kill }) =>
      kill === 'SIGKILL' ? ` Its log: ${options.logFile}` : ` The last lines of its log:\n${latest.tail()}`,
    say,
    ...(onEnd === undefined ? {} : { onEnd }),
    ...(wasExpected === undefined ? {} : { wasExpected }),
  });
  return {
    stop: () => {
      stopped.abort();
      return kept.stop();
    },
  };
}

function startOnce({ script, env, logFile, pidFile }: ProgramOptions): Promise<Child> {
  const args = ['--enable-source-maps', script];
  return startChild({
    command: process.execPath,
    args,
    env: { ...env, PARLEY_SUPERVISED: '1' },
    logFile,
    pidFile,
    ipc: true,
  });
}

/** One line when it is ready, and one when it is late. If it ends before, whoever restarts it says so. */
async function sayWhenReady(child: Child, options: ProgramOptions, signal: AbortSignal, ready: string): Promise<void> {
  const { name, say, onReady } = options;
  try {
    while ((await untilReady(child, options, signal)) === 'waits') {
      onReady();
      await sleep(patienceMs);
    }
    onReady();
    say(`${name}: ${ready}`);
  } catch (error) {
    if (child.running() && !signal.aborted) say(String(error));
  }
}

/** @returns `waits` if it said so for some seconds */
async function untilReady(child: Child, options: ProgramOptions, signal: AbortSignal): Promise<Probe> {
  const { name, probe, readyTimeoutMs, logFile } = options;
  const end = Date.now() + readyTimeoutMs;
  let waitsSince: number | undefined;
  for (;;) {
    signal.throwIfAborted();
    if (!child.running()) {
      throw new Error(
        `${name}: ended while starting (${describeExit(await child.exited)}). The last lines of ${logFile}:\n${child.tail()}`,
      );
    }
    const state = await probe();
    if (state === 'ready') return state;
    waitsSince = state === 'waits' ? (waitsSince ?? Date.now()) : undefined;
    if (waitsSince !== undefined && Date.now() - waitsSince > patienceMs) return 'waits';
    if (Date.now() > end) {
      throw new Error(
        `${name}: not ready after ${readyTimeoutMs / 1000} s. The last lines of ${logFile}:\n${child.tail()}`,
      );
    }
    await sleep(100);
  }
}
