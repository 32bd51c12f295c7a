import type { Problem, ProblemCode } from './types.ts';

const PROBLEM_TYPE = 'application/problem+json';

/** Details of a lost commit: the epoch of the group, the commit that won, and the position from which to read. */
export interface EpochConflict {
  readonly currentEpoch: number;
  readonly submittedEpoch: number;
  readonly winner: Exclude<Problem['winner'], undefined>;
  /** `seq` of the commit that started `submittedEpoch`, for a client that has no position of its own. */
  readonly after?: number;
}

/** An unsuccessful answer of the service (RFC 9457). `code` is stable, the texts are for people. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  /** HTTP status. */
  readonly status: number;
  /** A {@link ProblemCode}; `unknown` if the answer is not a problem document, for example from a proxy. */
  readonly code: string;
  /** Extension members of the problem document, for example `currentEpoch`. */
  readonly details: Readonly<Record<string, unknown>>;
  /** `X-Request-Id` of the answer: an operator finds the request in the log by this id. */
  readonly requestId: string | undefined;
  /** Time to wait before the next try, if the service named one. */
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

  /**
   * The same request, with the same ids, may succeed later. A 429 without a time does not pass by waiting. 502 and 504 come
   * from proxies whose connection to the service broke: nobody knows the outcome, and only a retry can tell.
   */
  get isRetryable(): boolean {
    return [502, 503, 504].includes(this.status) || (this.status === 429 && this.retryAfterMs !== undefined);
  }
}

/** Reads an unsuccessful response; the body need not be a problem document. A proxy may answer with JSON of its own. */
export async function toProblem(response: Response): Promise<ProblemError> {
  const isProblem = response.headers.get('content-type')?.startsWith(PROBLEM_TYPE) === true;
  const body: unknown = isProblem ? await response.json().catch(() => undefined) : await response.body?.cancel();
  return new ProblemError(isObject(body) ? body : {}, response);
}

/**
 * The service itself says no: what was asked did not happen, and with the same bytes it will not. Everything else proves nothing: a
 * broken connection, the page of a proxy, or a fault of the service, which may have done it.
 */
export function isRefusal(error: unknown): error is ProblemError {
  return error instanceof ProblemError && error.code !== 'unknown' && error.status < 500 && !error.isRetryable;
}

/** The problem with which the service would refuse what this device knows to be wrong. */
export function problemOf(
  status: number,
  code: ProblemCode,
  title: string,
  details: Readonly<Record<string, unknown>> = {},
): ProblemError {
  return new ProblemError({ title, code, ...details }, new Response(null, { status }));
}

/** The problem as plain data, which a store keeps and a tab gives to another. */
export function documentOf({ status, code, message, details }: ProblemError): Problem {
  // The message of the error begins with the status and the code.
  const title = message.slice(message.indexOf(': ') + 2);
  return { type: 'about:blank', title, status, code: code as ProblemCode, ...details };
}

/** Is `error` a problem with one of these codes? */
export function hasCode(error: unknown, ...codes: readonly ProblemCode[]): error is ProblemError {
  return error instanceof ProblemError && (codes as readonly string[]).includes(error.code);
}

/** Details of a 409 `epoch-conflict`; `undefined` for any other error. */
export function epochConflict(error: unknown): EpochConflict | undefined {
  if (!hasCode(error, 'epoch-conflict')) return undefined;
  const { currentEpoch, submittedEpoch, winner, after } = error.details;
  if (typeof currentEpoch !== 'number' || typeof submittedEpoch !== 'number' || !isObject(winner)) return undefined;
  const { seq, sha256 } = winner;
  if (typeof seq !== 'number' || typeof sha256 !== 'string') return undefined;
  const position = typeof after === 'number' ? { after } : {};
  return { currentEpoch, submittedEpoch, winner: { seq, sha256 }, ...position };
}

/** Id of the conversation that took over, from a 410 `superseded`; `undefined` for any other error. */
export function successorOf(error: unknown): string | undefined {
  if (!hasCode(error, 'superseded')) return undefined;
  const { successor } = error.details;
  return typeof successor === 'string' ? successor : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Milliseconds from now (RFC 9110 §10.2.3: seconds or a date). */
function parseRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

/** The last entry of the log as it is now, in `log-restarted`. */
export function lastSeqOf({ details }: ProblemError): number | undefined {
  const { lastSeq } = details;
  return typeof lastSeq === 'number' ? lastSeq : undefined;
}
