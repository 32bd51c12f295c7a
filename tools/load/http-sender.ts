import { Pool } from 'undici';

/** Longer than the deadline of every service under load, because the service itself must answer. */
const GIVE_UP_MS = 40_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Status and start of the body of an answer, for error messages. */
export function describeAnswer({ status, body }: Answer): string {
  return `HTTP ${status}: ${body.slice(0, 200)}`;
}

/** @returns the body of the answer. @throws Error unless the answer has the expected status */
export function expectStatus(answer: Answer, expected = 200): string {
  if (answer.status !== expected) throw new Error(describeAnswer(answer));
  return answer.body;
}

/** Sends requests to one API over connections that stay open. */
export interface HttpSender {
  readonly post: (path: string, token: string, body: string) => Promise<Answer>;
  readonly get: (path: string, token: string) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

/**
 * @param connections the number of requests at the same time, so that none waits for a connection
 */
export function makeHttpSender(url: string, connections: number): HttpSender {
  const pool = new Pool(url, {
    connections,
    pipelining: 1,
    keepAliveTimeout: 60_000,
    headersTimeout: GIVE_UP_MS,
    bodyTimeout: GIVE_UP_MS,
  });
  // `dispatch` is faster than `request`. The load generator shares the cores with the service that it measures.
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
