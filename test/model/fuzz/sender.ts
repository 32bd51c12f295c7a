import { Pool } from 'undici';

export interface FuzzRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface FuzzAnswer {
  readonly status: number;
  /** By lower-case name. Repeated headers are joined. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

/** Sends any request unchanged. */
export interface Sender {
  readonly send: (request: FuzzRequest) => Promise<FuzzAnswer>;
  readonly close: () => Promise<void>;
}

/** Longer than the service's own deadline of 10 s, because the service itself must answer. */
const GIVE_UP_MS = 20_000;

/** @param connections maximum number of requests in flight */
export function makeSender(url: string, connections: number): Sender {
  const pool = new Pool(url, {
    connections,
    pipelining: 1,
    headersTimeout: GIVE_UP_MS,
    bodyTimeout: GIVE_UP_MS,
    keepAliveTimeout: 60_000,
  });
  return {
    send: async ({ method, target, headers, body }) => {
      const aborter = new AbortController();
      const asking = pool.request({
        // Any token is a method (RFC 9110 §9.1).
        method,
        path: target,
        headers,
        signal: aborter.signal,
        ...(body === undefined ? {} : { body }),
      });
      const answer = await asking.catch((cause: unknown) => {
        throw new Error(`No answer to ${method} ${target.slice(0, 300)} ${String(body).slice(0, 300)}`, { cause });
      });
      const given = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as const);
      const result = { status: answer.statusCode, headers: Object.fromEntries(given) };
      if (result.headers['content-type']?.startsWith('text/event-stream') === true) {
        // A stream does not end by itself.
        answer.body.on('error', () => undefined);
        aborter.abort();
        return { ...result, text: '' };
      }
      return { ...result, text: await answer.body.text() };
    },
    close: () => pool.close(),
  };
}
