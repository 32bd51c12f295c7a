import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, startChild, type Child } from './child.ts';

/**
 * Pauses between restarts: each is twice the previous one, up to the longest. After a run of `forgetAfterMs` it is the
 * first again.
 */
const backOff = { firstMs: 500, longestMs: 30_000, forgetAfterMs: 60_000 };

export type ProgramOptions = {
  name: string;
  /** A JavaScript file. It runs with the same Node.js as this process. */
  script: string;
  env: NodeJS.ProcessEnv;
  logFile: string;
  pidFile: string;
  readyUrl: string;
  readyTimeoutMs: number;
  /** Time for running work after SIGTERM. Then the process is killed. */
  stopGraceMs: number;
  say: (line: string) => void;
  /** Ends the wait for readiness. */
  signal: AbortSignal;
};

export type Program = { pid: () => number; stop: () => Promise<void> };

/** Starts a program and waits until it is ready. After that, restarts the program each time it ends unexpectedly. */
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
        `${name}: ended unexpectedly (${describeExit(exit)}); restarting in ${pauseMs / 1000} s. The last lines of its log:\n${child.tail()}`,
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
        // If the program has ended, the next round of the loop reports it. Here it runs, but does not become ready.
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
      // Stop twice: at the first call, `watch` may be between two processes.
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
        `${name}: ended while starting (${describeExit(await child.exited)}). The last lines of ${logFile}:\n${child.tail()}`,
      );
    }
    if (await answersOk(readyUrl)) return;
    if (Date.now() > end) {
      throw new Error(
        `${name}: not ready after ${readyTimeoutMs / 1000} s (${readyUrl}). The last lines of ${logFile}:\n${child.tail()}`,
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
