import type pg from 'pg';
import type { Details, Look, Outcome } from '../../domain/supervision/look.ts';
import type { SupervisionPolicy } from '../../domain/supervision/policy.ts';
import type { Order } from '../../domain/supervision/state.ts';
import type { SupervisedRuns } from './runs.ts';

export interface SupervisorActivityDeps {
  readonly pool: pg.Pool;
  readonly runs: SupervisedRuns;
  readonly taskQueue: string;
  /** Version and build of this process. */
  readonly version: string;
  readonly build: string;
  /** Called for each action, for the log and the metrics. */
  readonly onAction: (order: Order) => void;
  /** Called when a part of a look, or an action, failed. */
  readonly onFailure: (what: string, error: unknown) => void;
}

export interface LookInput {
  /** What the supervisor says of itself. */
  readonly facts: Details;
  readonly sampleFrom: string;
}

export interface ActInput {
  readonly restarts: readonly Order[];
  readonly others: readonly Order[];
  readonly policy: SupervisionPolicy;
}

export interface SupervisorActivities {
  /** Signs that the supervisor lives, and looks for conversations in trouble. Never fails because somebody is away. */
  look: (input: LookInput) => Promise<Look>;
  /** Verifies and carries out restarts, and writes everything down. @returns one outcome for each restart */
  act: (input: ActInput) => Promise<Outcome[]>;
  /** Restarts of the supervisor before, from the audit trail. */
  recallRestarts: () => Promise<{
    readonly policy: SupervisionPolicy;
    readonly restarts: readonly { readonly conversation: string; readonly at: number }[];
  }>;
}
