import type { Operation, Outcome } from '../domain/operation.ts';

/** Bytes of an operation as the request brought them. */
export interface DraftBytes {
  readonly ciphertext: Uint8Array;
  readonly welcome?: Uint8Array | undefined;
  readonly groupInfo?: Uint8Array | undefined;
}

/** One operation of one request on its way into the lane of its conversation. */
export interface Draft {
  readonly conversation: string;
  /** The authenticated user. */
  readonly user: string;
  /** Complete and inline: with `actor`, epoch, adds and removes, without `body` and `bytes`. */
  readonly operation: Operation;
  readonly bytes?: DraftBytes | undefined;
  /** Milliseconds since 1970; the answer is due before it, and it is the operation's `notAfter`. */
  readonly deadline: number;
  /** The service's own id of the request. */
  readonly requestId: string;
}

/** The one entrance to conversations: whichever path applies it, and however often it is tried. */
export interface Submitter {
  /**
   * @returns the outcome; refusals are values
   * @throws AppError `deadline`, `overloaded`, `unavailable` (retryable with the same id) or `internal`
   */
  submit: (draft: Draft) => Promise<Outcome>;
}
