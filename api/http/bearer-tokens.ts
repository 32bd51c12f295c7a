import { type JWTVerifyOptions, type JWTVerifyResult, errors } from 'jose';
import { LRUCache } from 'lru-cache';
import { AppError } from '../../domain/errors.ts';
import type { TokenRules } from '../../process/token-config.ts';
import type { TokenVerifier } from './token-verifier.ts';
import { type TokenFacts, readClaims } from './claims.ts';

/** Verified tokens in the cache, and their characters: tokens with many claims must not fill the memory. */
const CACHED_TOKENS = 20_000;
const CACHED_CHARACTERS = 32 * 1024 * 1024;
const BEARER = /^Bearer +([\w.~+/-]+=*) *$/i;
/** Types of access tokens (RFC 9068, and before it). Others are signed for another purpose: a logout, an event, a proof. */
const ACCESS_TOKEN = /^(?:application\/)?(?:at\+)?jwt$/i;

/** What a token says, and who sent it, as logs show it. */
export interface TokenCaller extends TokenFacts {
  /** Replaces the user id in logs. */
  readonly pseudonym: string;
}

/** @throws AppError `unauthenticated`, or `unavailable` while the keys cannot be fetched */
export type Authenticate = (authorization: string | undefined) => TokenCaller | Promise<TokenCaller>;

/** The token is genuine, but its time is over. Its user did nothing wrong, so no limit counts it. */
export class ExpiredTokenError extends AppError {
  constructor(options?: ErrorOptions) {
    super('unauthenticated', 'The token has expired', {}, options);
  }
}

export interface AuthDeps {
  readonly verifier: TokenVerifier;
  readonly rules: TokenRules;
  readonly hashUser: (user: string) => string;
  /**
   * Milliseconds since 1970; judges `exp`, `nbf` and `iat`. All replicas use the clock of the database, so that they agree.
   * @default the clock of the process
   */
  readonly now?: () => number;
}

/**
 * Verifies bearer tokens. Verified tokens are cached until they expire, because checking a signature costs more than the
 * rest of a request. The source of the keys determines the algorithms, and the token never does.
 */
export function makeAuthenticate({ verifier, rules, hashUser, now = Date.now }: AuthDeps): Authenticate {
  const options: JWTVerifyOptions = {
    algorithms: [...verifier.algorithms],
    requiredClaims: ['exp'],
    clockTolerance: rules.clockToleranceMs / 1000,
    ...(rules.issuer === undefined ? {} : { issuer: rules.issuer }),
  };
  const verified = tokenCache<TokenCaller>();
  const expired = tokenCache<true>();
  // What a key has signed that the issuer took back is not genuine any more.
  let generation = 0;
  verifier.onKeyGone(() => {
    generation++;
    verified.clear();
    expired.clear();
  });

  const check = async (token: string): Promise<TokenCaller> => {
    const begun = generation;
    const result = await verifier
      .verify(token, { ...options, currentDate: new Date(now()) })
      .catch((error: unknown) => {
        const refusal = refuse(error);
        if (refusal instanceof ExpiredTokenError && begun === generation) expired.set(token, true);
        throw refusal;
      });
    checkType(result);
    const facts = readClaims(result.payload, rules, now());
    const caller = { ...facts, pseudonym: hashUser(facts.user) };
    if (begun === generation) verified.set(token, caller);
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

function tokenCache<T extends object | true>(): LRUCache<string, T> {
  return new LRUCache({
    max: CACHED_TOKENS,
    maxSize: CACHED_CHARACTERS,
    sizeCalculation: (_, token) => token.length,
  });
}

function checkType({ protectedHeader: { typ } }: JWTVerifyResult): void {
  if (typ !== undefined && !ACCESS_TOKEN.test(typ)) {
    throw new AppError('unauthenticated', 'The token is not an access token');
  }
}

/** The problem for a token that was not accepted. It gives a reason only if that helps an honest client, and no attacker. */
function refuse(error: unknown): AppError {
  if (error instanceof AppError) return error;
  // The signature was checked before the time.
  if (error instanceof errors.JWTExpired) return new ExpiredTokenError({ cause: error });
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new AppError('unauthenticated', `The claim ${error.claim} is missing or not accepted`);
  }
  // Not only errors of the library: a key of the provider may be too short for WebCrypto.
  return new AppError('unauthenticated', 'The token is not valid', {}, { cause: error });
}
