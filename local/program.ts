import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, startChild, type Child } from './child.ts';

/** Back-off between restarts: doubles from the first to the second; a program that ran for the third starts afresh. */
const backOff = { firstMs: 500, longestMs: 30_000, forgetAfterMs: 60_000 };

export type ProgramOptions = {
  name: string;
  /** A JavaScript file, run by the Node.js that runs this. */
  script: string;
  env: NodeJS.ProcessEnv;
  logFile: string;
  pidFile: string;
  readyUrl: string;
  readyTimeoutMs: number;
  /** How long it may take to finish what is in flight when asked to stop. */
  stopGraceMs: number;
  say: (line: string) => void;
  /** Gives up waiting for readiness. */
  signal: AbortSignal;
};

export type Program = { pid: () => number; stop: () => Promise<void> };

/** Starts a program, waits until it is ready, and from then on starts it again whenever it ends by itself. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const { name, say, signal } = options;
  const stopping = new AbortController();
  let child = await startOnce(options);
  try {
    await untilReady(child, options, signal);
  } catch (error) {
    await child.stop('SIGTERM', options.stopGraceMs);
    throw error;
  }
  const watching = watch();

  async function watch(): Promise<void> {
    let pauseMs = backOff.firstMs;
    for (;;) {
      const started = Date.now();
      const exit = await child.exited;
      if (stopping.signal.aborted) return;
      if (Date.now() - started > backOff.forgetAfterMs) pauseMs = backOff.firstMs;
      say(
        `${name}: ended by itself (${describeExit(exit)}); starting it again in ${pauseMs / 1000} s. Its last lines:\n${child.tail()}`,
      );
      try {
        await sleep(pauseMs, undefined, { signal: stopping.signal });
      } catch {
        return;
      }
      pauseMs = Math.min(pauseMs * 2, backOff.longestMs);
      child = await startOnce(options);
      void untilReady(child, options, stopping.signal).then(
        () => say(`${name}: ready again`),
        // An end is told by the next round; what remains is one that runs and does not become ready.
        (error: unknown) => {
          if (child.running() && !stopping.signal.aborted) say(String(error));
        },
      );
    }
  }

  return {
    pid: () => child.pid,
    async stop() {
      stopping.abort();
      // Asked again after the watch has ended: it may have been between two processes at the first time.
      await child.stop('SIGTERM', options.stopGraceMs);
      await watching;
      await child.stop('SIGTERM', options.stopGraceMs);
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

async function untilReady(child: Child, options: ProgramOptions, signal: AbortSignal): Promise<void> {
  const { name, readyUrl, readyTimeoutMs, logFile } = options;
  const end = Date.now() + readyTimeoutMs;
  for (;;) {
    signal.throwIfAborted();
    if (!child.running()) {
      throw new Error(
        `${name}: ended while starting (${describeExit(await child.exited)}). Its last lines (all in ${logFile}):\n${child.tail()}`,
      );
    }
    if (await answersOk(readyUrl)) return;
    if (Date.now() > end) {
      throw new Error(
        `${name}: not ready after ${readyTimeoutMs / 1000} s (${readyUrl}). Its last lines (all in ${logFile}):\n${child.tail()}`,
      );
    }
    await sleep(100);
  }
}

async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
