import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import type { KeptAnswers } from './kept-answers.ts';
import { requestIdOf } from './request-id.ts';
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
}

/** Gives each request its ids and its deadline. At the end of a request, it is logged and measured. */
export function makeRequestContext(deps: RequestContextDeps): RequestHandler {
  return function requestContext(req, res, next) {
    const startedAt = performance.now();
    const correlationId = randomUUID();
    const requestId = requestIdOf(req) ?? correlationId;
    const { transfers, kept, deadlineMs } = deps;
    setContext(res, { requestId, correlationId, deadline: Date.now() + deadlineMs, transfers, kept });
    res.setHeader('X-Request-Id', requestId);
    whenOver(res, () => finish(deps, req, res, performance.now() - startedAt));
    next();
  };
}

function finish({ log, observe }: RequestContextDeps, req: Request, res: Response, ms: number): void {
  const { requestId, correlationId, route = 'unmatched', caller, isStream = false } = contextOf(res);
  if (NOISE.test(req.path)) return;
  // The client closed the connection before it had the whole answer. Metrics count this as status 499.
  const isAborted = !res.writableFinished && !isStream;
  if (!isStream) observe(req.method, route, isAborted ? 499 : res.statusCode, ms / 1000);
  log.info(
    {
      requestId,
      // The log lines of its batches have this id in `correlationIds`.
      correlationId,
      method: req.method,
      route,
      status: res.statusCode,
      ms: Math.round(ms * 10) / 10,
      ...(caller === undefined ? {} : { user: caller.pseudonym }),
      ...(isAborted ? { aborted: true } : {}),
    },
    isStream ? 'stream ended' : 'request',
  );
}
