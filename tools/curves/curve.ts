import type { CpuTimes } from '../load/process-stats.ts';

/** One point of a line: what was measured at this size. */
export interface CurvePoint {
  /** Size: the number of messages, members, streams, .. */
  readonly x: number;
  readonly y: number;
  /** Parts of `y` by process. Empty = it has none. */
  readonly parts: CpuTimes;
}

/** What a line shows: the unit of its y. */
export type Measure =
  | 'CPU ms'
  /** Latency in the middle (p50), divided by that of the first point. */
  | 'latency, first = 1'
  | 'KB'
  | 'per second';

/** One line: how one cost changes with the size. */
export interface CurveLine {
  /** What is done, for example `send, workflow path`. */
  readonly name: string;
  readonly measure: Measure;
  readonly points: readonly CurvePoint[];
}

/** Everything that was measured over one size. */
export interface Curve {
  readonly name: string;
  readonly title: string;
  /** The size, for example `members`. */
  readonly xLabel: string;
  readonly lines: readonly CurveLine[];
  /** How it was measured, and what it cannot show: one sentence each. */
  readonly notes: readonly string[];
  /** Name of a line -> why it rises where it does. */
  readonly explained: ReadonlyMap<string, string>;
  readonly errors: readonly string[];
}
