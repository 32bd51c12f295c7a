import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const MB = 1024 * 1024;

/** Memory of this process in MB, of what is still reachable. */
export interface Memory {
  /** JavaScript objects and the bytes they hold. */
  readonly heapMb: number;
  readonly residentMb: number;
}

/** Collects garbage, then looks. */
export function memoryNow(): Memory {
  // Flags count for contexts made after them; this one was made before.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What the first collection finalises, the second frees.
  collect();
  collect();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heapMb: (heapUsed + arrayBuffers) / MB, residentMb: rss / MB };
}

/** Watches how late timers of this process are. */
export function watchEventLoop(): { readonly stop: () => string } {
  const histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  return {
    stop: () => {
      histogram.disable();
      const ms = (nanoseconds: number): string => `${Math.round(nanoseconds / 1e6)} ms`;
      return `event loop late by ${ms(histogram.percentile(99))} (p99), ${ms(histogram.max)} at most`;
    },
  };
}
