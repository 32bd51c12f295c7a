import type { Command } from '../domain/command.ts';
import type { Outcome } from '../domain/outcome.ts';

/** A command on its way from a request to its decision. */
export interface Submission<C extends Command = Command> {
  /** Id of the conversation. */
  readonly conversation: string;
  readonly command: C;
  /**
   * Milliseconds since 1970, by the clock of this process. The answer is due before it. The command's `notAfter` is the same
   * moment by the clock of the database.
   */
  readonly deadline: number;
  /** The service's own id of the request. */
  readonly correlationId: string;
}

/** The only entry point: each command of each request reaches its conversation through it, with either executor. */
export interface Submitter {
  /**
   * @returns the outcome; refusals are values
   * @throws AppError `deadline`, `overloaded`, `unavailable` (retryable with the same id) or `internal`
   */
  readonly submit: <C extends Command>(submission: Submission<C>) => Promise<Outcome<C['kind']>>;
}
