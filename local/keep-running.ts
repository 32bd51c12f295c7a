import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, type Exit } from './child.ts';
import { messageOf } from '../process/message-of.ts';

/**
 * Pauses between restarts: each is twice the previous one, up to the longest. After a run of `forgetAfterMs` it is the
 * first again.
 */
const backOff = { firstMs: 500, longestMs: 30_000, forgetAfterMs: 60_000 };

/** A running process, or a server that consists of several. */
export type Running = {
  /** Resolves when it has ended for any reason. Never rejects. */
  readonly exited: Promise<Exit>;
  stop: () => Promise<void>;
};

export type KeepRunningOptions = {
  name: string;
  /** What runs already. Absent = its first start failed. */
  first: Running | undefined;
  /** Starts it again. When the signal comes, it must reject and leave nothing behind. */
  start: (signal: AbortSignal) => Promise<Running>;
  /** Text after the line about an end, for example the last lines of the log. */
  details: (exit: Exit) => string;
  /** Prints one line for the user. */
  say: (line: string) => void;
  /** Called at each end that nobody has asked this function's `stop` for. */
  onEnd?: () => void;
  /**
   * Whether somebody ended it on purpose, asked once for each end. What a person asked for is no failure: the next start comes after the
   * shortest pause.
   */
  wasExpected?: () => boolean;
};

/**
 * Starts a process again each time it ends, however often that is. Each try is one line for the user, with how many there
 * were without a long run between them.
 */
export function keepRunning(options: KeepRunningOptions): { stop: () => Promise<void> } {
  const { name, first, start, details, say, onEnd, wasExpected = () => false } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const isStopping = (): boolean => signal.aborted;
  let current = first;
  const watching = watch();

  async function watch(): Promise<void> {
    let pauseMs = backOff.firstMs;
    let times = first === undefined ? 1 : 0;
    for (;;) {
      if (current !== undefined) {
        const startedAt = Date.now();
        const exit = await current.exited;
        if (isStopping()) return;
        onEnd?.();
        const isExpected = wasExpected();
        if (isExpected || Date.now() - startedAt > backOff.forgetAfterMs) [pauseMs, times] = [backOff.firstMs, 0];
        times += Number(!isExpected);
        const what = isExpected ? 'ended as the web app asked' : 'ended unexpectedly';
        say(`${name}: ${what} (${describeExit(exit)})${again(times, pauseMs)}${details(exit)}`);
      }
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (isStopping()) return;
      pauseMs = Math.min(pauseMs * 2, backOff.longestMs);
      try {
        current = await start(signal);
        if (isStopping()) {
          await current.stop();
          return;
        }
      } catch (error) {
        current = undefined;
        if (isStopping()) return;
        times += 1;
        say(`${name}: ${messageOf(error)}${again(times, pauseMs)}`);
      }
    }
  }

  return {
    async stop() {
      stopping.abort();
      await current?.stop();
      await watching;
    },
  };
}

function again(times: number, pauseMs: number): string {
  return `${times <= 1 ? '' : `, ${times} times in a row`}; restarting in ${pauseMs / 1000} s.`;
}
