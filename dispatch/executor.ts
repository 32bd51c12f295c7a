import type { Operation, Outcome } from '../domain/operation.ts';
import type { DraftBytes } from './command.ts';

/** Who applies a batch: the conversation's workflow, or the API process itself. */
export type PathName = 'workflow' | 'direct';

/** An operation as a path gets it: complete; with `body` when its bytes are staged. */
export interface BatchItem {
  readonly operation: Operation;
  readonly bytes?: DraftBytes | undefined;
}

export interface Batch {
  /** Prefix of the update ids; new for each batch. */
  readonly id: string;
  readonly conversation: string;
  readonly items: readonly BatchItem[];
  /** The service's own ids of the requests. */
  readonly requests: readonly string[];
  /** Milliseconds since 1970; nobody waits any longer. */
  readonly deadline: number;
}

export interface Applied {
  /** One for each item. */
  readonly outcomes: readonly Outcome[];
  /** Times it was handed over again, always with the same operation ids. */
  readonly retries: number;
}

/**
 * Applies a batch through the one deciding transaction. Any number of paths may be at work on a conversation at once.
 * @throws AppError `deadline`, `overloaded`, `unavailable` or `internal`
 */
export type Path = (batch: Batch) => Promise<Applied>;
