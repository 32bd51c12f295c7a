import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { developmentSecret, signToken } from '../local/development-token.ts';
import { stackOptions } from '../local/options.ts';
import { findService } from '../local/service-url.ts';
import { readEnvironment } from '../process/env-file.ts';
import { CommandError, EXIT } from './exit-codes.ts';
import { ensureError } from '../domain/errors.ts';

/** Where the service is, and how this program shows who it is. */
export interface Connection {
  /** Without a path. */
  readonly url: string;
  /** Made anew for each request, so that it never expires while something is watched. */
  readonly token: () => Promise<string>;
}

/** A token that this program signs lives for a moment. */
const OWN_TOKEN_LIFETIME = '2m';
/** User id of an operator at the local stack, in the audit trail. */
const LOCAL_OPERATOR = 'operator';

/**
 * Finds the service: `PARLEY_URL` and `PARLEY_TOKEN` (or a file, `PARLEY_TOKEN_FILE`), else the service that `npm start` runs on this
 * machine. A token is signed here only for a service on this machine, with the secret that lies beside it.
 * @throws CommandError
 */
export function findConnection(process: NodeJS.ProcessEnv, root: string): Connection {
  const { env, ...file } = readEnvironment(process, root);
  const options = attempt(() => stackOptions(env, root, [], file));
  const url = parseUrl(findService(env, options).url);
  const token = (): string | undefined => given(env.PARLEY_TOKEN) ?? fromFile(given(env.PARLEY_TOKEN_FILE));
  const first = token();
  // What renews the token writes the file anew.
  if (first !== undefined) return { url: url.origin, token: () => Promise.resolve(token() ?? first) };
  if (!isLocal(url.hostname)) {
    throw new CommandError(EXIT.usage, `PARLEY_TOKEN is missing: an operator's token for ${url.origin}`);
  }
  const hasSecret = options.jwt.secret !== undefined || existsSync(path.join(options.dataDir, 'jwt-secret'));
  const secret = hasSecret ? developmentSecret(options) : undefined;
  if (secret === undefined) {
    throw new CommandError(
      EXIT.usage,
      "PARLEY_TOKEN is missing: an operator's token. (Where `npm start` runs, none is needed.)",
    );
  }
  const { audience, issuer } = options.jwt;
  return {
    url: url.origin,
    token: () =>
      signToken({ secret, audience, issuer, user: LOCAL_OPERATOR, operator: true, expiresIn: OWN_TOKEN_LIFETIME }),
  };
}

function given(value: string | undefined): string | undefined {
  const text = value?.trim();
  return text === '' ? undefined : text;
}

function fromFile(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return given(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandError(EXIT.usage, 'The file that PARLEY_TOKEN_FILE names cannot be read', { cause: error });
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CommandError(EXIT.usage, 'PARLEY_URL must be an http or https URL');
  }
  return url;
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function attempt<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CommandError(EXIT.usage, ensureError(error).message, { cause: error });
  }
}
