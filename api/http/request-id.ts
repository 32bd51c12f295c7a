import type { IncomingMessage } from 'node:http';

/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;

/** The id that the client chose for its request: the trace id of `traceparent`, else `X-Request-Id`. */
export function requestIdOf(request: IncomingMessage): string | undefined {
  const { traceparent, 'x-request-id': given } = request.headers;
  const trace = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent)?.[1] : undefined;
  return trace ?? (typeof given === 'string' && REQUEST_ID.test(given) ? given : undefined);
}
