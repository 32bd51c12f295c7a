import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { contextOf, setContext, whenOver } from './context.ts';
import type { Transfers } from './transfers.ts';

/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;
/** Paths that machines request every few seconds. These requests are neither logged nor measured. */
const NOISE = /^\/(?:health|metrics)(?:\/|$)/;

export type ObserveRequest = (method: string, route: string, status: number, seconds: number) => void;

export interface RequestContextDeps {
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly observe: ObserveRequest;
  readonly transfers: Transfers;
}

/** Gives each request its ids and its deadline. At the end of a request, it is logged and measured. */
export function makeRequestContext(deps: RequestContextDeps): RequestHandler {
  return function requestContext(req, res, next) {
    const startedAt = performance.now();
    const correlationId = randomUUID();
    const requestId = givenId(req) ?? correlationId;
    setContext(res, { requestId, correlationId, deadline: Date.now() + deps.deadlineMs, transfers: deps.transfers });
    res.setHeader('X-Request-Id', requestId);
    whenOver(res, () => finish(deps, req, res, performance.now() - startedAt));
    next();
  };
}

/** The id that the client chose: the trace id of `traceparent`, else `X-Request-Id`. */
function givenId(req: Request): string | undefined {
  const { traceparent, 'x-request-id': given } = req.headers;
  const trace = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent)?.[1] : undefined;
  return trace ?? (typeof given === 'string' && REQUEST_ID.test(given) ? given : undefined);
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
