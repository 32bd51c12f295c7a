import { build } from 'hdr-histogram-js';

/** Latencies of one measurement, in milliseconds. */
export interface Latency {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Collects latencies. Percentiles are exact to three digits. */
export interface LatencyRecorder {
  readonly record: (ms: number) => void;
  readonly summary: () => Latency;
}

/** Longer latencies are recorded as this value. No request takes that long. */
const LONGEST_MS = 120_000;

/** A new, empty recorder. It counts in microseconds, because some answers take less than a millisecond. */
export function makeLatencyRecorder(): LatencyRecorder {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_MS * 1000,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  const ms = (us: number): number => Math.round(us) / 1000;
  return {
    record: (value) => histogram.recordValue(Math.max(1, Math.min(Math.round(value * 1000), LONGEST_MS * 1000))),
    summary: () => ({
      count: histogram.totalCount,
      mean: histogram.totalCount === 0 ? 0 : ms(histogram.mean),
      p50: ms(histogram.getValueAtPercentile(50)),
      p95: ms(histogram.getValueAtPercentile(95)),
      p99: ms(histogram.getValueAtPercentile(99)),
      max: ms(histogram.maxValue),
    }),
  };
}

/** The middle value. With an even count, the lower of the two middle values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}
