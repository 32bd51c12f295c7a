import { readFile } from 'node:fs/promises';
import { type JWTVerifyOptions, type JWTVerifyResult, importSPKI, jwtVerify } from 'jose';
import type { Logger } from 'pino';
import type { JwtSource, PublicKeyAlgorithm } from '../../process/token-config.ts';
import { keysAt, keysOf } from './fetch-keys.ts';
import { type KeyState, type ProviderKeysDeps, makeProviderKeys } from './provider-keys.ts';

/** Checks signatures and times with the keys of one source, which is never mixed with another. */
export interface TokenVerifier {
  /** Algorithms that tokens may have. */
  readonly algorithms: readonly string[];
  /** @throws a JOSE error, or AppError `unavailable` while a key cannot be fetched */
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<JWTVerifyResult>;
  /** @param then what to do when a key is taken back */
  readonly onKeyGone: (then: () => void) => void;
  /** Of keys that are fetched. Absent = the key is at hand. */
  readonly keyState?: () => KeyState;
  readonly close: () => void;
}

export interface TokenVerifierDeps {
  readonly source: JwtSource;
  readonly log: Logger;
  /** @default nobody counts */
  readonly onFetch?: ProviderKeysDeps['onFetch'];
}

/** @throws Error if the key file has no key, or the provider is another one than the configured issuer */
export async function makeTokenVerifier({ source, ...deps }: TokenVerifierDeps): Promise<TokenVerifier> {
  switch (source.kind) {
    case 'secret': {
      const key = new TextEncoder().encode(source.secret);
      return { ...AT_HAND, algorithms: ['HS256'], verify: (token, options) => jwtVerify(token, key, options) };
    }
    case 'key-file': {
      const { algorithm } = source;
      const key = await readKey(source.file, algorithm);
      return { ...AT_HAND, algorithms: [algorithm], verify: (token, options) => jwtVerify(token, key, options) };
    }
    case 'jwks':
    case 'discovery': {
      let keyGone = (): void => undefined;
      const keys = await makeProviderKeys({
        fetchKeys: source.kind === 'jwks' ? keysAt(source.url) : keysOf(source.issuer),
        log: deps.log,
        onFetch: deps.onFetch ?? ((): void => undefined),
        onKeyGone: () => keyGone(),
      });
      return {
        algorithms: source.algorithms,
        verify: keys.verify,
        onKeyGone: (then) => void (keyGone = then),
        keyState: keys.state,
        close: keys.close,
      };
    }
  }
}

const AT_HAND = { onKeyGone: (): void => undefined, close: (): void => undefined };

async function readKey(file: string, algorithm: PublicKeyAlgorithm): ReturnType<typeof importSPKI> {
  try {
    return await importSPKI(await readFile(file, 'utf8'), algorithm);
  } catch (error) {
    throw new Error(`JWT_PUBLIC_KEY_FILE is not a public key for ${algorithm} in PEM (SPKI) form`, { cause: error });
  }
}
