import type { Outcome } from '../domain/outcome.ts';
import type { CommandProgress } from '../process/progress.ts';
import type { StagedKey } from '../store/staging/stage.ts';
import type { Submission } from './submission.ts';

/** A submission in the queue of its conversation. */
export interface QueuedCommand {
  /** Replaced when the command has to wait for a reservation. */
  submission: Submission;
  /** For the lines about its request, if that fails. */
  readonly progress: CommandProgress;
  /** By `performance.now()`. */
  readonly since: number;
  /** Its place among all that wait (`FairOrder`). */
  turn: number;
  /** Set once it is on its way into a staged row. From then on it is decided by its staged form, on either path. */
  staged: Promise<StagedKey> | undefined;
  /** It was answered already, for example by its deadline. */
  settled: boolean;
  readonly settle: (result: Outcome | Error) => void;
}

/** Messages and read marks share a batch with others of their kind; every other command goes alone. */
export function sharesBatch({ submission }: QueuedCommand): boolean {
  const { kind } = submission.command;
  return kind === 'message' || kind === 'read';
}
