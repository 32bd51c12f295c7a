import type { Latency } from './histogram.ts';
import { makeLatencyRecorder } from './histogram.ts';

/** The result of a load during its measurement. */
export interface LoadResult {
  readonly seconds: number;
  readonly latency: Latency;
  readonly failures: string[];
}

export interface ClosedLoopOptions {
  /** Number of senders. Each sends its next request when the previous one is answered. */
  readonly senders: number;
  /** Time under load before the measurement. There is no pause in between, so measuring starts in a steady state. */
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Sends one request. A rejection counts as a failure. */
  readonly send: (sender: number) => Promise<void>;
  /** Called when the measurement starts and when it ends. */
  readonly onStart?: () => void;
  readonly onEnd?: () => void;
}

/** Senders that never pause. An answer inside the measured window counts, even if its request was sent earlier. */
export async function closedLoop(options: ClosedLoopOptions): Promise<LoadResult> {
  const { senders, warmUpMs, measureMs, send, onStart, onEnd } = options;
  const recorder = makeLatencyRecorder();
  const failures: string[] = [];
  const state = { measuring: false, stopped: false };
  const run = async (sender: number): Promise<void> => {
    while (!state.stopped) {
      const startedAt = performance.now();
      try {
        await send(sender);
        if (state.measuring) recorder.record(performance.now() - startedAt);
      } catch (error) {
        failures.push(describe(error));
        // Sending again at once would only add to the trouble.
        await sleep(50);
      }
    }
  };
  const running = Array.from({ length: senders }, (_, sender) => run(sender));
  await sleep(warmUpMs);
  onStart?.();
  const startedAt = performance.now();
  state.measuring = true;
  await sleep(measureMs);
  state.measuring = false;
  const seconds = (performance.now() - startedAt) / 1000;
  onEnd?.();
  state.stopped = true;
  await Promise.all(running);
  return { seconds, latency: recorder.summary(), failures };
}

/** A thrown error with its cause, on one line. */
export function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? `${thrown.message}: ${thrown.cause.message}` : thrown.message;
}

/** A pause; here time is what is measured. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
