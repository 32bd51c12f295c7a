import { Pool } from 'undici';

/** Above the deadline of every service under load: it is the service that must answer. */
const GIVE_UP_MS = 40_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Sends requests of one API over connections that stay open. */
export interface HttpSender {
  readonly post: (path: string, token: string, body: string) => Promise<Answer>;
  readonly get: (path: string, token: string) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

/**
 * @param connections as many as there are requests at once; none waits for a connection then
 */
export function makeHttpSender(url: string, connections: number): HttpSender {
  const pool = new Pool(url, {
    connections,
    pipelining: 1,
    keepAliveTimeout: 60_000,
    headersTimeout: GIVE_UP_MS,
    bodyTimeout: GIVE_UP_MS,
  });
  // `dispatch` and not `request`: the load generator shares the cores with what it measures, so each microsecond counts.
  const send = (method: 'GET' | 'POST', path: string, token: string, body: string | null): Promise<Answer> =>
    new Promise((resolve, reject) => {
      let status = 0;
      let text = '';
      const headers = { authorization: token, ...(body === null ? {} : { 'content-type': 'application/json' }) };
      pool.dispatch(
        { method, path, body, headers },
        {
          onRequestStart: () => undefined,
          onResponseStart: (_controller, statusCode) => {
            status = statusCode;
          },
          // Pages and answers are ASCII, so no character is cut in two.
          onResponseData: (_controller, chunk) => {
            text += chunk.toString('latin1');
          },
          onResponseEnd: () => resolve({ status, body: text }),
          onResponseError: (_controller, error) => reject(error),
        },
      );
    });
  return {
    post: (path, token, body) => send('POST', path, token, body),
    get: (path, token) => send('GET', path, token, null),
    close: () => pool.close(),
  };
}
