import { describe, type LoadResult, sleep } from './closed-loop.ts';
import { makeLatencyRecorder } from './histogram.ts';

export interface OpenLoopOptions {
  readonly perSecond: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly send: (request: number) => Promise<void>;
  readonly onStart?: () => void;
  readonly onEnd?: () => void;
  /** Ends it early. Requests that were sent are waited for. */
  readonly signal?: AbortSignal;
}

/**
 * Sends requests at fixed times, whether or not earlier ones were answered. A latency counts from the time at which
 * the request was due. So a slow service (or load generator) does not hide its delay by sending fewer requests (no
 * coordinated omission).
 */
export async function openLoop(options: OpenLoopOptions): Promise<LoadResult> {
  const { perSecond, warmUpMs, measureMs, send, onStart, onEnd, signal } = options;
  const recorder = makeLatencyRecorder();
  const failures: string[] = [];
  const running = new Set<Promise<void>>();
  const startedAt = performance.now();
  const end = warmUpMs + measureMs;
  const fire = async (request: number, dueMs: number): Promise<void> => {
    try {
      await send(request);
      if (dueMs >= warmUpMs) recorder.record(performance.now() - startedAt - dueMs);
    } catch (error) {
      failures.push(describe(error));
    }
  };
  let measuring = false;
  for (let request = 0; ;) {
    const now = performance.now() - startedAt;
    if (!measuring && now >= warmUpMs) {
      measuring = true;
      onStart?.();
    }
    // Send all requests that are due: timers fire late on a busy machine.
    for (let due = dueAt(request, perSecond); due <= now && due < end; due = dueAt(request, perSecond)) {
      const one = fire(request, due);
      running.add(one);
      void one.finally(() => running.delete(one));
      request++;
    }
    if (now >= end || signal?.aborted === true) break;
    await sleep(Math.max(1, Math.min(dueAt(request, perSecond), end) - now));
  }
  await Promise.all(running);
  onEnd?.();
  return { seconds: (performance.now() - startedAt - warmUpMs) / 1000, latency: recorder.summary(), failures };
}

function dueAt(request: number, perSecond: number): number {
  return (request * 1000) / perSecond;
}
