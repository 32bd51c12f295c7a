import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import type { ProgressOfRequests } from '../../process/progress.ts';
import { type Tracing, traceNow } from '../../process/tracing.ts';
import type { KeptAnswers } from './kept-answers.ts';
import { type ModeOf, failureFacts } from './failure-facts.ts';
import { requestIdOf, traceparentOf } from './request-id.ts';
import { contextOf, setContext, whenOver } from './context.ts';
import type { Transfers } from './transfers.ts';

/** Paths that machines request every few seconds. These requests are neither logged nor measured. */
const NOISE = /^\/(?:health|metrics)(?:\/|$)/;

export type ObserveRequest = (method: string, route: string, status: number, seconds: number) => void;

export interface RequestContextDeps {
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly observe: ObserveRequest;
  readonly transfers: Transfers;
  readonly kept: KeptAnswers;
  readonly progress: ProgressOfRequests;
  readonly modeOf: ModeOf;
  readonly tracing: Tracing | undefined;
}

/** Gives each request its ids and its deadline. At the end of a request, it is logged and measured. */
export function makeRequestContext(deps: RequestContextDeps): RequestHandler {
  return function requestContext(req, res, next) {
    const startedAt = performance.now();
    const correlationId = randomUUID();
    const requestId = requestIdOf(req) ?? correlationId;
    const { transfers, kept, deadlineMs, progress } = deps;
    setContext(res, {
      requestId,
      correlationId,
      traceparent: traceparentOf(req),
      progress: () => progress.of(correlationId),
      deadline: Date.now() + deadlineMs,
      transfers,
      kept,
    });
    progress.begin(correlationId);
    res.setHeader('X-Request-Id', requestId);
    whenOver(res, () => finish(deps, req, res, performance.now() - startedAt));
    next();
  };
}

function finish(
  { log, observe, modeOf, tracing, progress }: RequestContextDeps,
  req: Request,
  res: Response,
  ms: number,
): void {
  const {
    requestId,
    correlationId,
    traceparent,
    route = 'unmatched',
    caller,
    problem,
    isStream = false,
  } = contextOf(res);
  const isFailed = res.statusCode >= 500;
  const facts = isFailed ? failureFacts(res, modeOf) : { correlationId };
  progress.end(correlationId);
  if (NOISE.test(req.path)) return;
  const until = traceNow();
  tracing?.request({
    correlationId,
    traceparent,
    name: `${req.method} ${route}`,
    from: until - ms,
    until,
    attributes: { ...facts, 'http.route': route, 'http.response.status_code': res.statusCode },
    error: isFailed ? (problem?.code ?? 'internal') : undefined,
  });
  // The client closed the connection before it had the whole answer. Metrics count this as status 499.
  const isAborted = !res.writableFinished && !isStream;
  if (!isStream) observe(req.method, route, isAborted ? 499 : res.statusCode, ms / 1000);
  log.info(
    {
      requestId,
      // `correlationId`: the log lines of its batches have it in `correlationIds`.
      ...facts,
      ...(traceparent === undefined ? {} : { traceparent }),
      method: req.method,
      route,
      status: res.statusCode,
      ms: Math.round(ms * 10) / 10,
      ...(caller === undefined || isFailed ? {} : { user: caller.pseudonym }),
      ...(isAborted ? { aborted: true } : {}),
    },
    isStream ? 'stream ended' : 'request',
  );
}
