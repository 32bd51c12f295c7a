/** What the loser of a commit race gets: where the group is, who won, and from where to read. */
export interface EpochConflict {
  readonly currentEpoch: number;
  readonly submittedEpoch: number;
  readonly winner: { readonly seq: number; readonly sha256: string };
  /** `seq` of the commit that started `submittedEpoch`, for a client that has no position of its own. */
  readonly after: number;
}

/** An answer of the service that is not a success (RFC 9457); `code` is stable, the texts are for people. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly status: number;
  readonly code: string;
  /** The problem's extension members, for example `currentEpoch`. */
  readonly details: Readonly<Record<string, unknown>>;
  /** For the operator's log. */
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(problem: Readonly<Record<string, unknown>>, response: Response) {
    const { type: _type, title, status: _status, detail, instance: _instance, code, ...details } = problem;
    const reason = [detail, title, response.statusText].find((part) => typeof part === 'string');
    super(`${response.status} ${typeof code === 'string' ? code : 'unknown'}: ${String(reason)}`);
    this.status = response.status;
    this.code = typeof code === 'string' ? code : 'unknown';
    this.details = details;
    this.requestId = response.headers.get('x-request-id') ?? undefined;
    this.retryAfterMs = parseRetryAfter(response.headers.get('retry-after'));
  }

  /** The same request, with the same ids, may succeed later; a 429 that names no time waits for something else. */
  get isRetryable(): boolean {
    return this.status === 503 || (this.status === 429 && this.retryAfterMs !== undefined);
  }
}

/** Reads an error response, whatever its body is. */
export async function toProblem(response: Response): Promise<ProblemError> {
  const body: unknown = await response.json().catch(() => undefined);
  return new ProblemError(typeof body === 'object' && body !== null ? { ...body } : {}, response);
}

/** Is `error` a problem with one of these codes? */
export function hasCode(error: unknown, ...codes: readonly string[]): error is ProblemError {
  return error instanceof ProblemError && codes.includes(error.code);
}

/** The facts of a 409 `epoch-conflict`, or `undefined` for any other error. */
export function epochConflict(error: unknown): EpochConflict | undefined {
  return hasCode(error, 'epoch-conflict') ? (error.details as unknown as EpochConflict) : undefined;
}

/** Id of the conversation that took over, if that is what a 410 `superseded` says. */
export function successorOf(error: unknown): string | undefined {
  if (!hasCode(error, 'superseded')) return undefined;
  const { successor } = error.details;
  return typeof successor === 'string' ? successor : undefined;
}

function parseRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}
