import type { JWTPayload } from 'jose';
import { own } from '../../domain/own.ts';
import { AppError } from '../../domain/errors.ts';
import { type DeviceId, type UserId, parseDeviceId, parseUserId } from '../../domain/ids.ts';
import type { RequiredClaim, TokenRules } from '../../process/token-config.ts';

/** What a verified token says. */
export interface TokenFacts {
  readonly user: UserId;
  /** Absent = the token names no device. */
  readonly device: DeviceId | undefined;
  readonly isOperator: boolean;
  /** Milliseconds since 1970: from then on the token is refused everywhere, and its streams end. */
  readonly expiresAt: number;
  /** Milliseconds since 1970: the claim `iat`. */
  readonly issuedAt?: number;
}

/** The last moment that a date can show. */
const END_OF_TIME_MS = 8.64e15;

/**
 * Reads the claims of a token whose signature, times and issuer were checked.
 * @param nowMs milliseconds since 1970, by the clock that judges tokens
 * @throws AppError `unauthenticated` that names the claim, and never repeats its value
 */
export function readClaims(payload: JWTPayload, rules: TokenRules, nowMs: number): TokenFacts {
  const { exp = 0, iat } = payload;
  if (iat !== undefined && iat * 1000 > nowMs + rules.clockToleranceMs) throw refused('iat', 'is in the future');
  if (!textsOf(findClaim(payload, rules.audienceClaim)).some((audience) => rules.audiences.includes(audience))) {
    throw refused(rules.audienceClaim, 'is missing or not accepted');
  }
  for (const required of rules.required) {
    if (!isThere(payload, required)) throw refused(required.claim, 'is missing or not accepted');
  }
  const named = findClaim(payload, rules.userClaim);
  const user = typeof named === 'string' ? parseUserId(named) : undefined;
  if (user === undefined) throw refused(rules.userClaim, 'is not a user id');
  return {
    user,
    device: deviceIn(payload, rules.deviceClaim),
    isOperator: rules.operatorClaims.some((claim) => wordsOf(findClaim(payload, claim)).includes(rules.operatorValue)),
    expiresAt: Math.min(exp * 1000 + rules.clockToleranceMs, END_OF_TIME_MS),
    ...(iat === undefined ? {} : { issuedAt: iat * 1000 }),
  };
}

function deviceIn(payload: JWTPayload, claim: string): DeviceId | undefined {
  const named = findClaim(payload, claim);
  if (named === undefined) return undefined;
  const device = typeof named === 'string' ? parseDeviceId(named) : undefined;
  if (device === undefined) throw refused(claim, 'is not a device id');
  return device;
}

function isThere(payload: JWTPayload, { claim, value }: RequiredClaim): boolean {
  const found = findClaim(payload, claim);
  return value === undefined ? found !== undefined && found !== null : valuesOf(found).includes(value);
}

/**
 * The value of a claim by its name. Dots lead into objects (`realm_access.roles`), and names may have dots themselves
 * (`https://app.example/device`): of several names that are there, the longest counts.
 */
export function findClaim(claims: unknown, name: string): unknown {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
  const object = claims as Readonly<Record<string, unknown>>;
  for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
    // JSON has no undefined.
    const value = own(object, name.slice(0, end));
    if (value !== undefined) return end === name.length ? value : findClaim(value, name.slice(end + 1));
  }
  return undefined;
}

/** A text, or the texts in a list. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** The words of a text, as in `scope`; each text of a list is one, as a role may have spaces. */
function wordsOf(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ') : textsOf(value);
}

/** Also a number or a boolean, as it is written: `email_verified=true`. */
function valuesOf(value: unknown): string[] {
  return typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : textsOf(value);
}

function refused(claim: string, why: string): AppError {
  return new AppError('unauthenticated', `The claim ${claim} ${why}`);
}
