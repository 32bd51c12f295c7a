import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import cors from 'cors';
import { requestIdOf } from './request-id.ts';

/** Browsers ask again after at most this time; Chromium's own limit is the lowest of them. */
const PREFLIGHT_S = 7200;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Headers that pages of allowed origins may send. Browsers let them send a few simple ones always. */
export const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-None-Match',
  'Last-Event-ID',
  'Parley-Device',
  'traceparent',
  'tracestate',
  'X-Request-Id',
];

/** Headers of answers that pages may read. Browsers let them read a few simple ones always. */
export const EXPOSED_HEADERS = [
  'Allow',
  'ETag',
  'Idempotent-Replayed',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'WWW-Authenticate',
  'X-Request-Id',
];

/** Headers that depend on the origin of the request, in lower case: an answer that is given again gets its own. */
export const HEADERS_OF_ORIGIN: readonly string[] = [
  'access-control-allow-origin',
  'access-control-expose-headers',
  'cross-origin-resource-policy',
];

/**
 * Lets pages of other origins use the API (the CORS protocol of the Fetch Standard), and answers preflights. It stands before all
 * else, so that errors are readable too, and that a preflight, which has no token, costs no more than its answer. Never `*`, and
 * never credentials: the service has no cookies.
 * @param origins exact origins; none = only pages of the service itself
 * @param isDraining while it is true, connections are closed after their answer
 */
export function makeCrossOrigin(
  origins: readonly string[],
  isDraining: () => boolean,
): (app: RequestListener) => RequestListener {
  if (origins.length === 0) return (app) => (request, response) => app(request, ownOnly(response));
  const allowed = new Set(origins);
  const mark = cors({
    // Their list, not a function: then the answer varies by origin also where the origin is refused.
    origin: [...origins],
    methods: METHODS,
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_S,
    preflightContinue: true,
  });
  return (app) => (request, response) => {
    const { origin } = request.headers;
    ownOnly(response);
    if (origin === undefined) response.setHeader('Vary', 'Origin');
    else {
      // With `preflightContinue` it only sets headers, and returns when they are set.
      mark(request, response, () => undefined);
      if (allowed.has(origin)) response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    }
    if (isPreflight(request)) answerPreflight(request, response, isDraining());
    else app(request, response);
  };
}

/** Lines of headers with which a page of an allowed origin may read an answer that is not made by the app. */
export function permissionFor(origin: string): string[] {
  return [
    `Access-Control-Allow-Origin: ${origin}`,
    `Access-Control-Expose-Headers: ${EXPOSED_HEADERS.join(',')}`,
    'Cross-Origin-Resource-Policy: cross-origin',
    'Vary: Origin',
  ];
}

/** No page of another origin may embed the answer. @returns the response */
function ownOnly<R extends ServerResponse>(response: R): R {
  return response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && 'access-control-request-method' in headers;
}

/** The same for all paths: which one exists is nothing that a preflight tells. */
function answerPreflight(request: IncomingMessage, response: ServerResponse, isLast: boolean): void {
  response.setHeader('X-Request-Id', requestIdOf(request) ?? randomUUID());
  response.setHeader('Cache-Control', 'no-store');
  if (isLast) response.setHeader('Connection', 'close');
  response.writeHead(204).end();
}
