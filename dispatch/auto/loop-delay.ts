import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Granularity of the measurement in milliseconds; the histogram counts it in. */
const RESOLUTION_MS = 10;
/** Weight of the newest measurement. */
const WEIGHT = 0.2;

/** Measures by how much the event loop is late: a moving average of the means between the calls, in milliseconds. */
export function measureLoopDelay(): { readonly ms: () => number; readonly close: () => void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let average = 0;
  return {
    ms: () => {
      const { mean } = histogram;
      histogram.reset();
      if (Number.isFinite(mean)) {
        const late = Math.max(0, mean / 1e6 - RESOLUTION_MS);
        average = average * (1 - WEIGHT) + late * WEIGHT;
      }
      return average;
    },
    close: () => void histogram.disable(),
  };
}
