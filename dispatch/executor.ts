import type { Command } from '../domain/command.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { StagedCommand } from '../domain/staged-command.ts';

/** Who applies a batch: the conversation's workflow, or the API process itself. */
export type ExecutionPath = 'workflow' | 'direct';

/** Commands of one conversation that are decided together, in their order. */
export interface Batch<C extends Command | StagedCommand> {
  /** Prefix of the update ids; new for each batch. */
  readonly id: string;
  readonly conversation: string;
  readonly commands: readonly C[];
  readonly correlationIds: readonly string[];
  /** Milliseconds since 1970. No request of the batch waits longer. */
  readonly deadline: number;
}

export interface Applied {
  /** One for each command. */
  readonly outcomes: readonly Outcome[];
  /** How often the batch was handed over again, always with the same command ids. */
  readonly retries: number;
}

/**
 * Applies a batch through the one deciding transaction. Several executors may work on one conversation at once.
 * @throws AppError `deadline`, `overloaded`, `unavailable` or `internal`
 */
export type Executor<C extends Command | StagedCommand> = (batch: Batch<C>) => Promise<Applied>;

/** The executors of a process. */
export interface Executors {
  /** Bytes travel in staged rows. */
  readonly workflow: Executor<StagedCommand>;
  /** Bytes travel inline, or stand in staged rows already. */
  readonly direct: Executor<Command | StagedCommand>;
}
