/** How a command ends. Scripts and runbooks go by these numbers, so they never change. */
export const EXIT = {
  /** Done, and nothing is wrong. */
  ok: 0,
  /** A problem was found, or the service refused. */
  problem: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The service does not answer. */
  unreachable: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An end that the command itself has decided. Its message is for people. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
