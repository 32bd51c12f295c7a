/**
 * All problems that Parley answers with (RFC 9457), one row for each stable `code`. `docs/reference/problems/` has a
 * page for each code. `retryable` = the same request, with the same id, may succeed later.
 */
export const PROBLEMS = {
  malformed: { status: 400, title: 'The request is not well formed', retryable: false },
  unauthenticated: { status: 401, title: 'A valid bearer token is required', retryable: false },
  'not-allowed': { status: 403, title: 'The policy of the conversation does not allow this', retryable: false },
  'consent-required': { status: 403, title: 'The user has not consented to your invitations', retryable: false },
  'identity-mismatch': { status: 403, title: 'The MLS identity does not belong to the caller', retryable: false },
  removed: { status: 403, title: 'You were removed from this conversation', retryable: false },
  'not-found': { status: 404, title: 'Not found', retryable: false },
  'group-info-missing': { status: 404, title: 'There is no GroupInfo for the current epoch', retryable: true },
  'method-not-allowed': { status: 405, title: 'This method is not supported here', retryable: false },
  'epoch-conflict': { status: 409, title: 'Another commit ended this epoch first', retryable: false },
  'epoch-too-old': { status: 409, title: 'The epoch is older than the epoch window allows', retryable: false },
  'epoch-ahead': { status: 409, title: 'The epoch is ahead of the conversation', retryable: false },
  'proposal-stale': { status: 409, title: 'The proposal belongs to an epoch that has ended', retryable: false },
  'removal-pending': { status: 409, title: 'Leaves must be removed from the group first', retryable: false },
  'group-info-exists': { status: 409, title: 'There is another GroupInfo for this epoch', retryable: false },
  'group-info-stale': { status: 409, title: 'The GroupInfo is not for the current epoch', retryable: false },
  'key-package-stale': { status: 409, title: 'A key package expired or was replaced', retryable: false },
  'log-restarted': { status: 409, title: 'The log does not go on from your position', retryable: false },
  'conversation-exists': { status: 409, title: 'A conversation with this id already exists', retryable: false },
  'history-truncated': { status: 410, title: 'This part of the log was deleted', retryable: false },
  superseded: { status: 410, title: 'The conversation has a successor', retryable: false },
  'too-large': { status: 413, title: 'The request body is too large', retryable: false },
  'unsupported-media-type': { status: 415, title: 'The request body must be application/json', retryable: false },
  'id-reused': { status: 422, title: 'This id was already used with different content', retryable: false },
  'idempotency-key-reused': {
    status: 422,
    title: 'This Idempotency-Key was already used with a different request',
    retryable: false,
  },
  'commit-required': { status: 422, title: 'In an MLS conversation this needs a commit', retryable: false },
  'wrong-group': { status: 422, title: 'The MLS message belongs to another group', retryable: false },
  'wrong-content-type': { status: 422, title: 'The MLS content type is not accepted here', retryable: false },
  'welcome-mismatch': { status: 422, title: 'The Welcome does not match the commit', retryable: false },
  'group-info-mismatch': { status: 422, title: 'The GroupInfo does not match the commit', retryable: false },
  'membership-mismatch': { status: 422, title: 'The membership change does not match the MLS group', retryable: false },
  'too-many-members': { status: 422, title: 'The conversation would have too many members', retryable: false },
  'push-not-offered': { status: 422, title: 'This service sends no such wake-ups', retryable: false },
  'position-ahead': { status: 422, title: 'The position is ahead of the conversation', retryable: false },
  'rate-limited': { status: 429, title: 'Too many requests', retryable: true },
  'headers-too-large': { status: 431, title: 'The headers of the request are too large', retryable: false },
  internal: { status: 500, title: 'An unexpected error occurred', retryable: true },
  overloaded: { status: 503, title: 'Too much work waits already', retryable: true },
  unavailable: { status: 503, title: 'A part of the service is not available', retryable: true },
  deadline: { status: 503, title: 'There was no decision before the deadline of the request', retryable: true },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>;

/** A stable problem code of {@link PROBLEMS}. */
export type ProblemCode = keyof typeof PROBLEMS;

/** Extension members of a problem document, for example `currentEpoch`. */
export type ProblemDetails = Readonly<Record<string, unknown>>;

export interface AppErrorOptions extends ErrorOptions {
  /**
   * Only for status 429 and 503: milliseconds until the same request may succeed; null = waiting does not help.
   * @default one second
   */
  readonly retryAfterMs?: number | null;
}

/** The only error that request handlers throw on purpose. One place renders it as problem+json. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ProblemCode;
  readonly details: ProblemDetails;
  readonly retryAfterMs: number | null | undefined;

  /**
   * @param code code from the catalogue
   * @param detail one sentence for people about this occurrence; default: the title
   * @param details extension members of the problem document
   */
  constructor(code: ProblemCode, detail?: string, details: ProblemDetails = {}, options: AppErrorOptions = {}) {
    super(detail ?? PROBLEMS[code].title, options);
    this.code = code;
    this.details = details;
    this.retryAfterMs = options.retryAfterMs;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }
}

/** Turns a thrown value into an Error. */
export function ensureError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
