import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const MB = 1024 * 1024;

/** Memory of this process after garbage collection, in MB. */
export interface Memory {
  /** JavaScript objects and the bytes they hold. */
  readonly heapMb: number;
  readonly residentMb: number;
}

/** Collects garbage and reads the memory. */
export function memoryNow(): Memory {
  // A flag applies only to contexts that are created after it is set.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // The second collection frees the objects that the first one finalises.
  collect();
  collect();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heapMb: (heapUsed + arrayBuffers) / MB, residentMb: rss / MB };
}

/** Measures how late the timers of this process fire. */
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
