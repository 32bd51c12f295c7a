import type { Latency } from '../load/histogram.ts';
import type { RehearsalSize } from './options.ts';

/** What happened in one phase. */
export interface PhaseReport {
  /** Percentage of the conversations on the path `workflow`. */
  readonly share: number;
  readonly latency: Latency;
  /** Requests that were sent again with the same id, because the service asked for it. */
  readonly retries: number;
  /** Operations by who decided them. */
  readonly direct: number;
  readonly workflow: number;
}

/** How long the way back took, in milliseconds since the operator's request was sent. */
export interface Rollback {
  /** Until that request was answered. */
  readonly answeredMs: number;
  /** Until every API process said that it takes the direct path. */
  readonly appliedMs: number;
  /** Until the last operation that a workflow decided was counted. */
  readonly drainedMs: number;
}

export interface RehearsalReport {
  readonly size: RehearsalSize;
  readonly seed: number;
  /** Before the first phase, each phase, and after the way back. */
  readonly phases: readonly PhaseReport[];
  readonly rollback: Rollback;
  readonly acknowledged: number;
  readonly commits: number;
  /** Requests that failed, messages that are missing or there twice, broken invariants. Empty = none. */
  readonly problems: readonly string[];
}
