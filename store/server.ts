import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';

/** How to reach a database. */
export interface DatabaseServer {
  readonly url: string;
  /** Asked at each connect, in place of the password of the URL: it may have been changed since the start. */
  readonly password?: (() => string) | undefined;
  /** PEM file with the CA of the server's certificate. Set = TLS, with a check of the certificate and its name. */
  readonly caFile?: string | undefined;
}

/** Options of a connection. No startup parameter `options`: poolers refuse it. */
export function connectionOf({ url, password, caFile }: DatabaseServer): pg.ClientConfig {
  const { ssl, ...config } = parseIntoClientConfig(url);
  const tls =
    caFile === undefined ? ssl : { ...(typeof ssl === 'object' ? ssl : {}), ca: readFileSync(caFile, 'utf8') };
  return {
    ...(config as pg.ClientConfig),
    ...(tls === undefined ? {} : { ssl: tls }),
    ...(password === undefined ? {} : { password }),
    keepAlive: true,
    connectionTimeoutMillis: 3000,
  };
}
