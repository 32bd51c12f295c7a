import {
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  jwtVerify,
} from 'jose';
import type { Logger } from 'pino';
import { AppError, ensureError } from '../../domain/errors.ts';
import { type FetchKeys, OtherIssuerError } from './fetch-keys.ts';

/** Time for the provider to answer, with its discovery document and its keys. */
const FETCH_MS = 4000;
/** The keys are fetched again after this time, so that a key that the provider took back does not count for long. */
const REFRESH_MS = 5 * 60_000;
/**
 * Pause between two fetches for keys that are not known. It doubles while they bring nothing new: whoever makes up key ids
 * cannot make this process ask more often. A token with a new key waits for the next fetch, so it is never refused.
 */
const MIN_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 5000;
/** Without a fetch for this time, the pause is the shortest again. */
const QUIET_MS = 60_000;
/** Pause before the next try while the provider is away. */
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 10_000;
/** Requests that wait for keys. More are told to come again. */
const MAX_WAITING = 1000;

/** Whether the keys of the provider are known, and can be fetched now. */
export interface KeyState {
  /** Public keys that are known; 0 = no token can be verified. */
  readonly known: number;
  /** The last fetch failed. */
  readonly isAway: boolean;
  /** Seconds since the keys were fetched; undefined = never. */
  readonly ageSeconds: number | undefined;
}

/** The keys of an identity provider, which rotate. */
export interface ProviderKeys {
  /**
   * Verifies a token like `jwtVerify`. A key that is not known is fetched, and the token waits for it.
   * @throws a JOSE error, or AppError `unavailable` while the provider is away and the key is not known
   */
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<JWTVerifyResult>;
  readonly state: () => KeyState;
  readonly close: () => void;
}

export interface ProviderKeysDeps {
  readonly fetchKeys: FetchKeys;
  readonly log: Logger;
  /** Counts fetches. */
  readonly onFetch: (outcome: 'fetched' | 'failed') => void;
  /** A key is gone: what it has signed no longer counts. */
  readonly onKeyGone: () => void;
}

interface KeySet {
  /** Number of the fetch that it came from. */
  readonly fetch: number;
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly keys: ReadonlySet<string>;
}

/**
 * Fetches the keys, and keeps them up to date.
 * @throws OtherIssuerError if the provider is not the configured one. If it does not answer at all, tokens are answered with
 * `unavailable` until it does.
 */
export async function makeProviderKeys(deps: ProviderKeysDeps): Promise<ProviderKeys> {
  const { fetchKeys, log } = deps;
  let current: KeySet | undefined;
  let failure: Error | undefined;
  let failures = 0;
  let fetches = 0;
  let begunAt = performance.now();
  let fetchedAt: number | undefined;
  let pauseMs = MIN_PAUSE_MS;
  let running: Promise<void> | undefined;
  let planned: Promise<void> | undefined;
  let waiting = 0;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  const fetchLater = (ms: number): void => {
    clearTimeout(timer);
    if (!isClosed) timer = setTimeout(() => void fetchNow(), ms).unref();
  };
  const take = (jwks: JSONWebKeySet, fetch: number): void => {
    const before = current?.keys ?? new Set();
    const keys = new Set(jwks.keys.map((key) => JSON.stringify(key)));
    current = { fetch, find: createLocalJWKSet(jwks), keys };
    fetchedAt = performance.now();
    if ([...keys].some((key) => !before.has(key))) pauseMs = MIN_PAUSE_MS;
    if ([...before].some((key) => !keys.has(key))) deps.onKeyGone();
  };
  const load = async (): Promise<void> => {
    const fetch = ++fetches;
    begunAt = performance.now();
    try {
      take(await fetchKeys(AbortSignal.timeout(FETCH_MS)), fetch);
      if (failure !== undefined) log.info('the keys of the identity provider can be fetched again');
      failure = undefined;
      failures = 0;
      deps.onFetch('fetched');
      fetchLater(REFRESH_MS);
    } catch (error) {
      if (failure === undefined) {
        log.warn(
          { err: error, knownKeys: current?.keys.size ?? 0 },
          'the keys of the identity provider cannot be fetched: only tokens with known keys are accepted',
        );
      }
      failure = ensureError(error);
      deps.onFetch('failed');
      fetchLater(retryMs(failures++));
    }
  };
  const fetchNow = (): Promise<void> => (running ??= load().finally(() => (running = undefined)));
  /** The next fetch that begins after the pause. All who wait share it. */
  const fetchAfterPause = (): Promise<void> =>
    (planned ??= pause(begunAt + pauseMs - performance.now()).then(() => {
      planned = undefined;
      pauseMs = performance.now() - begunAt > QUIET_MS ? MIN_PAUSE_MS : Math.min(pauseMs * 2, MAX_PAUSE_MS);
      return fetchNow();
    }));
  const waitForKeys = async (): Promise<void> => {
    if (failure !== undefined) throw away(retryMs(failures), failure);
    if (waiting >= MAX_WAITING) throw away(MAX_PAUSE_MS);
    waiting++;
    try {
      await (running ?? fetchAfterPause());
    } finally {
      waiting--;
    }
  };

  await fetchNow();
  if (failure instanceof OtherIssuerError) {
    clearTimeout(timer);
    throw failure;
  }
  return {
    verify: async (token, options) => {
      const before = fetches;
      for (;;) {
        const set = current;
        let error: unknown = new errors.JWKSNoMatchingKey();
        try {
          if (set !== undefined) return await verifyWith(set, token, options);
        } catch (found) {
          if (!mayBeNew(found, token)) throw found;
          error = found;
        }
        // The provider was asked after the token came, so it does not have this key.
        if (set !== undefined && set.fetch > before) throw error;
        if (!isWorthAsking(token, options)) throw error;
        await waitForKeys();
      }
    },
    state: () => ({
      known: current?.keys.size ?? 0,
      isAway: failure !== undefined,
      ageSeconds: fetchedAt === undefined ? undefined : (performance.now() - fetchedAt) / 1000,
    }),
    close: () => {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

/** A token without a key id is tried with every key that fits. */
async function verifyWith({ find }: KeySet, token: string, options: JWTVerifyOptions): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, find, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return await jwtVerify(token, key, options);
      } catch (failed) {
        if (!(failed instanceof errors.JWSSignatureVerificationFailed)) throw failed;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** Whether a key that the provider has made since may verify the token. */
function mayBeNew(error: unknown, token: string): boolean {
  if (error instanceof errors.JWKSNoMatchingKey) return true;
  return error instanceof errors.JWSSignatureVerificationFailed && decodeProtectedHeader(token).kid === undefined;
}

/** An old token, or one of another issuer, is refused in any case: the provider need not be asked for its key. */
function isWorthAsking(token: string, { issuer, currentDate, clockTolerance = 0 }: JWTVerifyOptions): boolean {
  let claims: JWTPayload;
  try {
    claims = decodeJwt(token);
  } catch {
    return false;
  }
  if (issuer !== undefined && claims.iss !== issuer) return false;
  const nowS = (currentDate ?? new Date()).getTime() / 1000;
  return typeof claims.exp === 'number' && claims.exp > nowS - Number(clockTolerance);
}

function away(retryAfterMs: number, cause?: Error): AppError {
  return new AppError('unavailable', 'The keys that verify tokens cannot be fetched', {}, { cause, retryAfterMs });
}

/** Random, so that processes do not ask at the same time. */
function retryMs(failures: number): number {
  return Math.min(MIN_RETRY_MS * 2 ** failures, MAX_RETRY_MS) * (0.5 + Math.random() / 2);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}
