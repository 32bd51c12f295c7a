import type { ErrorRequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { AppError, PROBLEMS, type ProblemCode, ensureError } from '../../domain/errors.ts';
import { MAX_MEMBERS_LIMIT } from '../../domain/limits.ts';
import { isRetryable } from '../../store/sqlstate.ts';
import { contextOf } from './context.ts';
import { type ModeOf, failureFacts } from './failure-facts.ts';
import { write } from './reply.ts';
import { shorten } from './shorten.ts';

/** Time until a client may try again, if the error does not state one. */
const RETRY_AFTER_MS = 1000;

/** Maximum length of a text in a problem, and of a list: an answer must not grow with what a client sends. */
const MAX_CHARACTERS = 1000;
/** A Welcome for the largest group may name this many stale key packages. */
const MAX_ELEMENTS = MAX_MEMBERS_LIMIT;

/** A problem document (RFC 9457). */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly code: ProblemCode;
  readonly [extension: string]: unknown;
}

/** Path of the page about a problem. It is also the `type` of the problem. */
export function problemType(code: ProblemCode): string {
  return `/docs/problems/${code}`;
}

/** The problem document of an error, without the id of the request. */
export function problemDocument(error: AppError): ProblemDocument {
  const { status, title } = PROBLEMS[error.code];
  return {
    type: problemType(error.code),
    title,
    status,
    ...(error.message === title ? {} : { detail: shorten(error.message, MAX_CHARACTERS) }),
    code: error.code,
    ...Object.fromEntries(Object.entries(error.details).map(([name, value]) => [name, bounded(value)])),
  };
}

function bounded(value: unknown): unknown {
  if (typeof value === 'string') return shorten(value, MAX_CHARACTERS);
  return Array.isArray(value) ? value.slice(0, MAX_ELEMENTS) : value;
}

/** Converts a thrown value to a problem of the catalogue. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const error = ensureError(thrown);
  // The router throws this for a path that is not percent-encoded UTF-8.
  if (error instanceof URIError) return new AppError('malformed', 'The path is not well formed');
  if (isRetryable(error)) return new AppError('unavailable', 'The database does not answer', {}, { cause: error });
  return new AppError('internal', undefined, {}, { cause: error });
}

/** Makes the error handler of the app. No other place renders errors. */
export function makeProblemRenderer({
  log,
  modeOf,
}: {
  readonly log: Logger;
  readonly modeOf: ModeOf;
}): ErrorRequestHandler {
  // Express recognizes an error handler by its four parameters.
  return function renderProblem(thrown, _req, res, _next) {
    const error = toAppError(thrown);
    const context = contextOf(res);
    context.problem = error;
    if (error.status >= 500) {
      const { requestId, route } = context;
      const facts = { err: error, requestId, route, ...failureFacts(res, modeOf) };
      if (error.code === 'internal') log.error(facts, 'request failed');
      else log.warn(facts, 'request not served');
    }
    if (res.headersSent) {
      // A part of the answer was sent already. Only a broken connection tells the client that the rest is missing.
      res.destroy();
      return;
    }
    writeProblem(res, error);
  };
}

/** Writes an error as the answer, without a log line. */
export function writeProblem(res: Response, error: AppError): void {
  const context = contextOf(res);
  const { requestId } = context;
  context.problem ??= error;
  res.statusCode = error.status;
  setProblemHeaders(res, error);
  write(res, 'application/problem+json; charset=utf-8', JSON.stringify({ ...problemDocument(error), requestId }));
}

function setProblemHeaders(res: Response, error: AppError): void {
  if (error.code === 'unauthenticated') {
    const reason = res.req.headers.authorization === undefined ? '' : ', error="invalid_token"';
    res.setHeader('WWW-Authenticate', `Bearer realm="parley"${reason}`);
  }
  const { retryAfterMs = RETRY_AFTER_MS } = error;
  if ((error.status === 429 || error.status === 503) && retryAfterMs !== null && !res.hasHeader('Retry-After')) {
    res.setHeader('Retry-After', Math.ceil(retryAfterMs / 1000));
  }
}
