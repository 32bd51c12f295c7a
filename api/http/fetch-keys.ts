import type { JSONWebKeySet } from 'jose';
import { StartError } from '../../domain/start-error.ts';

/** Fetches the public keys of an identity provider. @throws Error in words for operators */
export type FetchKeys = (signal: AbortSignal) => Promise<JSONWebKeySet>;

/** More than this is no description and no set of keys. */
const MAX_BYTES = 1024 * 1024;
const DISCOVERY_PATH = '/.well-known/openid-configuration';

/** The provider answers, and is another one than was configured. Waiting does not mend it. */
export class OtherIssuerError extends StartError {
  override readonly name = 'OtherIssuerError';
}

/** From a JWKS (RFC 7517) at a known address. */
export function keysAt(url: string): FetchKeys {
  return async (signal) => {
    const jwks = await fetchJson(url, signal);
    if (!hasSigningKey(jwks)) throw new Error(`${url} has no public key for signatures`);
    return jwks;
  };
}

/** From the JWKS that the discovery document of an OpenID Connect provider names. It is read anew each time. */
export function keysOf(issuer: string): FetchKeys {
  const url = `${issuer.replace(/(?<!\/)\/+$/, '')}${DISCOVERY_PATH}`;
  return async (signal) => {
    const found = await fetchJson(url, signal);
    const { issuer: named, jwks_uri: jwksUrl } = isObject(found) ? found : {};
    if (named !== issuer) {
      const says = typeof named === 'string' ? `says ${named.slice(0, 255)}` : 'names no issuer';
      throw new OtherIssuerError(`JWT_ISSUER is ${issuer}, but ${url} ${says}: they must be equal, letter by letter`);
    }
    if (typeof jwksUrl !== 'string' || !URL.canParse(jwksUrl)) throw new Error(`${url} has no jwks_uri`);
    // Whoever can change a plain answer on its way could give keys of its own.
    if (new URL(jwksUrl).protocol !== 'https:' && issuer.startsWith('https:')) {
      throw new Error(`${url} names a jwks_uri without TLS`);
    }
    return keysAt(jwksUrl)(signal);
  };
}

async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  try {
    const response = await fetch(url, { signal, redirect: 'manual', headers: { accept: 'application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the status is ${response.status}`);
    }
    return JSON.parse(await readText(response)) as unknown;
  } catch (cause) {
    throw new Error(`${url} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'it does not answer in time';
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** A provider that answers without keys has a defect. Its earlier keys are better than none. */
function hasSigningKey(jwks: unknown): jwks is JSONWebKeySet {
  const { keys } = isObject(jwks) ? jwks : {};
  return (
    Array.isArray(keys) &&
    keys.every(isObject) &&
    keys.some(({ kty, use }) => typeof kty === 'string' && kty !== 'oct' && use !== 'enc')
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
