import type { IncomingMessage } from 'node:http';

const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;
/** As long as one of W3C Trace Context is in its first version, with some room for later ones. */
const TRACEPARENT = /^[0-9a-f-]{55,128}$/;

/** The id that the client chose for its request: `X-Request-Id`. */
export function requestIdOf({ headers }: IncomingMessage): string | undefined {
  const { 'x-request-id': given } = headers;
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : undefined;
}

/** The place of the request in a trace of the client, as it sent it. */
export function traceparentOf({ headers: { traceparent } }: IncomingMessage): string | undefined {
  return typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? traceparent : undefined;
}
