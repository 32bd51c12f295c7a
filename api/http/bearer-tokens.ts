import { readFile } from 'node:fs/promises';
import { type JWTPayload, type JWTVerifyOptions, createRemoteJWKSet, errors, importSPKI, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { AppError } from '../../domain/errors.ts';
import { DEFAULT_DEVICE, parseDeviceId, parseUserId } from '../../domain/ids.ts';
import { PUBLIC_KEY_ALGORITHMS } from '../../process/config-variables.ts';
import type { JwtSource } from '../../process/config.ts';
import type { Caller } from './caller.ts';

/** Verified tokens in the cache. Each needs about 1 KB. */
const CACHED_TOKENS = 20_000;
const OPERATOR_SCOPE = 'operator';
const BEARER = /^Bearer +([\w.~+/-]+=*) *$/i;

/** @throws AppError `unauthenticated`, or `unavailable` while the keys cannot be fetched */
export type Authenticate = (authorization: string | undefined) => Caller | Promise<Caller>;

/** The token is genuine, but its time is over. Its user did nothing wrong, so no limit counts it. */
export class ExpiredTokenError extends AppError {
  constructor(options?: ErrorOptions) {
    super('unauthenticated', 'The token has expired', {}, options);
  }
}

type Verify = (token: string, options: JWTVerifyOptions) => Promise<{ payload: JWTPayload }>;

export interface AuthDeps {
  readonly source: JwtSource;
  readonly audience: string;
  readonly hashUser: (user: string) => string;
  /**
   * Milliseconds since 1970; judges `exp` and `nbf`. All replicas use the clock of the database, so that they agree.
   * @default the clock of the process
   */
  readonly now?: () => number;
}

/**
 * Verifies bearer tokens. Verified tokens are cached until they expire, because checking a signature costs more than the
 * rest of a request. The source of the keys determines the algorithms, and the token never does.
 */
export async function makeAuthenticate(deps: AuthDeps): Promise<Authenticate> {
  const { verify, algorithms } = await verifier(deps.source);
  const { now = Date.now } = deps;
  const options: JWTVerifyOptions = { audience: deps.audience, algorithms, requiredClaims: ['sub', 'exp'] };
  const verified = new LRUCache<string, Caller>({ max: CACHED_TOKENS });
  const expired = new LRUCache<string, true>({ max: CACHED_TOKENS });

  const check = async (token: string): Promise<Caller> => {
    const { payload } = await verify(token, { ...options, currentDate: new Date(now()) }).catch((error: unknown) => {
      const refusal = refuse(error);
      if (refusal instanceof ExpiredTokenError) expired.set(token, true);
      throw refusal;
    });
    const caller = callerOf(payload, deps.hashUser);
    verified.set(token, caller);
    return caller;
  };
  return function authenticate(authorization) {
    const token = BEARER.exec(authorization ?? '')?.[1];
    if (token === undefined) throw new AppError('unauthenticated');
    if (expired.get(token) === true) throw new ExpiredTokenError();
    const caller = verified.get(token);
    if (caller === undefined) return check(token);
    if (caller.expiresAt > now()) return caller;
    verified.delete(token);
    expired.set(token, true);
    throw new ExpiredTokenError();
  };
}

async function verifier(source: JwtSource): Promise<{ verify: Verify; algorithms: string[] }> {
  switch (source.kind) {
    case 'secret': {
      const key = new TextEncoder().encode(source.secret);
      return { verify: (token, options) => jwtVerify(token, key, options), algorithms: ['HS256'] };
    }
    case 'jwks': {
      const keys = createRemoteJWKSet(new URL(source.url), { timeoutDuration: 3000 });
      return { verify: (token, options) => jwtVerify(token, keys, options), algorithms: [...PUBLIC_KEY_ALGORITHMS] };
    }
    case 'key-file': {
      const key = await readKey(source.file, source.algorithm);
      return { verify: (token, options) => jwtVerify(token, key, options), algorithms: [source.algorithm] };
    }
  }
}

async function readKey(file: string, algorithm: string): ReturnType<typeof importSPKI> {
  try {
    return await importSPKI(await readFile(file, 'utf8'), algorithm);
  } catch (error) {
    throw new Error(`JWT_PUBLIC_KEY_FILE is not a public key for ${algorithm} in PEM (SPKI) form`, { cause: error });
  }
}

function callerOf(payload: JWTPayload, hashUser: AuthDeps['hashUser']): Caller {
  const { sub, exp, iat, device = DEFAULT_DEVICE, scope = '' } = payload;
  const user = typeof sub === 'string' ? parseUserId(sub) : undefined;
  if (user === undefined) throw new AppError('unauthenticated', 'The claim sub is not a user id');
  const deviceId = typeof device === 'string' ? parseDeviceId(device) : undefined;
  if (deviceId === undefined) throw new AppError('unauthenticated', 'The claim device is not a device id');
  return {
    user,
    device: deviceId,
    isOperator: typeof scope === 'string' && scope.split(' ').includes(OPERATOR_SCOPE),
    expiresAt: (exp ?? 0) * 1000,
    ...(iat === undefined ? {} : { issuedAt: iat * 1000 }),
    pseudonym: hashUser(user),
  };
}

/** The problem for a token that was not accepted. It gives a reason only if that helps an honest client, and no attacker. */
function refuse(error: unknown): AppError {
  // The signature was checked before the time.
  if (error instanceof errors.JWTExpired) return new ExpiredTokenError({ cause: error });
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new AppError('unauthenticated', `The claim ${error.claim} is missing or not accepted`);
  }
  const isOfToken =
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported;
  if (isOfToken) return new AppError('unauthenticated', 'The token is not valid', {}, { cause: error });
  return new AppError('unavailable', 'The keys that verify tokens cannot be fetched', {}, { cause: error });
}
