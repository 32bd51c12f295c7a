import type { FailedRun } from '../../domain/supervision/look.ts';

/** A run of a conversation, as Temporal describes it. */
export interface RunningRun {
  readonly runId: string;
  /** Attempts of the workflow task that it has pending; 0 = it has none. */
  readonly attempts: number;
}

/** Whether a run answers; `refused` = the server says that its tasks fail. */
export type RunAnswer = 'yes' | 'no' | 'refused' | 'ended';

/** What the supervisor asks of the workflows of conversations, and does to them. */
export interface SupervisedRuns {
  /** Conversations whose workflow tasks fail again and again, by visibility. */
  readonly failing: (limit: number) => Promise<string[]>;
  /** Runs that failed since a time (milliseconds since 1970). */
  readonly failedSince: (since: number, limit: number) => Promise<FailedRun[]>;
  /** Some conversations that run; `from` is what the last call gave, at first ''. */
  readonly sample: (
    from: string,
    size: number,
  ) => Promise<{ readonly conversations: readonly string[]; readonly next: string }>;
  /** How far a run believes its conversation has come; `undefined` = it has not decided anything, or does not answer. */
  readonly belief: (conversation: string) => Promise<{ readonly epoch: number; readonly lastSeq: number } | undefined>;
  readonly runOf: (conversation: string) => Promise<RunningRun | undefined>;
  readonly answers: (conversation: string, runId: string, patienceMs: number) => Promise<RunAnswer>;
  /** Whether any worker takes the tasks of conversations. */
  readonly workersAnswer: () => Promise<boolean>;
  /** Ends a run if there is one, and starts the conversation from Postgres. Nothing that was acknowledged is lost. */
  readonly replace: (conversation: string, runId: string | undefined, reason: string) => Promise<void>;
}
