import { createHttp, type Http, ParleyClient } from '../../../client/index.ts';
import { rememberTokens } from '../../harness/tokens.ts';

/** Above the service's own deadline of 10 s: a try that took longer broke invariant 11. */
const TRY_MS = 15_000;

/** The clients of the users. Each request goes to the next API process that is well. */
export interface People {
  /** One try of each request: the load counts every failure. */
  readonly as: (user: string) => ParleyClient;
  /** Tries again as the client library does, for what is looked up after the load. */
  readonly patiently: (user: string) => ParleyClient;
  readonly http: (user: string, device?: string) => Http;
  readonly token: (user: string, device?: string) => Promise<string>;
  readonly nextUrl: () => string;
}

/** @param urls of the API processes, asked before every request */
export function makePeople(urls: () => readonly string[]): People {
  const tokens = rememberTokens();
  const clients = new Map<string, ParleyClient>();
  let turn = 0;
  const nextUrl = (): string => {
    const all = urls();
    return all[turn++ % all.length] ?? '';
  };
  const token = (user: string, device?: string): Promise<string> => tokens(user, { device });
  const http = (user: string, device?: string): Http =>
    createHttp({ baseUrl: nextUrl, token: () => token(user, device), attempts: 1, timeoutMs: TRY_MS });
  return {
    token,
    http,
    nextUrl,
    patiently: (user) =>
      new ParleyClient(createHttp({ baseUrl: nextUrl, token: () => token(user), timeoutMs: TRY_MS })),
    as: (user) => {
      const client = clients.get(user) ?? new ParleyClient(http(user));
      clients.set(user, client);
      return client;
    },
  };
}
