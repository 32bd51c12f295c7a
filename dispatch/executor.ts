import type { Command } from '../domain/command.ts';
import type { CONVERSATION_PATHS } from '../process/config.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { WaitedFor } from '../process/progress.ts';
import type { StagedCommand } from '../domain/staged-command.ts';

/** Who applies a batch: the conversation's workflow, or the API process itself. */
export type ExecutionPath = 'workflow' | 'direct';

/** What an operator chooses for a conversation; `auto` = the process chooses for each batch. */
export type ConversationPath = (typeof CONVERSATION_PATHS)[number];

/**
 * Why a batch that would take the workflow was decided directly.
 * - `budget`: as many updates are in flight as Temporal carries in good time
 * - `wait`: its oldest command had waited for 25 ms
 * - `breaker`: Temporal does not answer
 * - `wedged`: the workflow of this conversation does not answer, those of others do
 * - `time-out`: it was handed to the workflow, which did not answer
 * - `failed`: it was handed to the workflow, which could not decide it
 */
export const DIVERSION_REASONS = ['budget', 'wait', 'breaker', 'wedged', 'time-out', 'failed'] as const;
export type DiversionReason = (typeof DIVERSION_REASONS)[number];

/**
 * Why a command was handed over the way it was, for people.
 * - `setting`: an operator chose this path
 * - `auto`: the path `auto`, and Temporal answers in good time
 * - `not-a-member`: its row was not staged, so it is refused without the workflow
 * - `again`: an earlier try used its staged row, so that it is decided once more with its bytes
 */
export type WayReason = DiversionReason | 'setting' | 'auto' | 'not-a-member' | 'again';

/** Commands of one conversation that are decided together, in their order. */
export interface Batch<C extends Command | StagedCommand> {
  /** Prefix of the update ids; new for each batch. */
  readonly id: string;
  readonly conversation: string;
  readonly commands: readonly C[];
  readonly correlationIds: readonly string[];
  /** Milliseconds since 1970. No request of the batch waits longer. */
  readonly deadline: number;
  /** What the batch waits for now, for the lines about its requests. */
  readonly onWait?: (waitsFor: WaitedFor) => void;
  /** Aborted when nobody waits for this executor any more. */
  readonly signal?: AbortSignal;
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
