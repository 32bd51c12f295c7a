import type { TroubleSign } from '../trouble.ts';
import type { Away, Details } from './look.ts';

// The memory of the supervisor. Every list has an end: the state travels from run to run.

/** Conversations that it knows at a time. Others wait until one of these is well. */
export const MOST_WATCHED = 1000;
/** Runs that were counted as failed. */
export const MOST_FAILED_RUNS = 300;
/** Actions that its details show. */
export const MOST_ACTIONS = 12;

/** A conversation that is or was in trouble. Times are milliseconds since 1970. */
export interface Watched {
  readonly conversation: string;
  readonly sign: TroubleSign;
  readonly details: Details;
  /** Rounds in a row that saw it. */
  readonly looks: number;
  /** Its restarts within the window, the oldest first. */
  readonly restarts: readonly number[];
  /** It is not restarted before. */
  readonly nextAt: number;
  /** It was reported, and is not reported again before. */
  readonly quietUntil: number;
}

/** A part of the conversations. */
export interface Bucket {
  readonly bucket: number;
  /** When conversations of it were given up, within the window. */
  readonly escalations: readonly number[];
  /** None of its conversations is restarted before. */
  readonly stoppedUntil: number;
}

export const ACTIONS = [
  /** What healed itself. */
  'count',
  /** What a restart mends. */
  'restart',
  /** What it cannot mend. */
  'report',
  /** A conversation, a bucket, the service: too many restarts within the window. */
  'give-up',
  'stop-bucket',
  'degrade',
] as const;
export type Action = (typeof ACTIONS)[number];

/** What the supervisor does, in its own words. */
export interface Order {
  readonly action: Action;
  /** Absent: it is about many. */
  readonly conversation?: string;
  /** The sign, or who is away. */
  readonly reason: TroubleSign | Away | 'run-failed' | 'restarts' | 'escalations';
  readonly details: Details;
  /** It was reported a short while ago. */
  readonly isKnown?: boolean;
}

/** What it did, and when. */
export interface DoneAction extends Order {
  readonly at: number;
}

export interface SupervisorState {
  /** Of the policy that it goes by; `undefined` = it has seen none yet. */
  readonly policyMark?: string;
  readonly watched: readonly Watched[];
  readonly buckets: readonly Bucket[];
  /** When buckets were stopped, within the window. */
  readonly escalations: readonly number[];
  /** Nothing is restarted before; 0 = not degraded. */
  readonly degradedUntil: number;
  /** Who did not answer in this number of rounds in a row. */
  readonly away?: { readonly who: Away; readonly since: number; readonly looks: number };
  readonly failedRuns: readonly string[];
  readonly sampleFrom: string;
  readonly actions: readonly DoneAction[];
}

export const NOTHING_SEEN: SupervisorState = {
  watched: [],
  buckets: [],
  escalations: [],
  degradedUntil: 0,
  failedRuns: [],
  sampleFrom: '',
  actions: [],
};

/** @returns the newer ones of a list of times */
export function within(times: readonly number[], windowMs: number, now: number): number[] {
  return times.filter((at) => at > now - windowMs);
}
