import type { z } from 'zod';
import { own } from '../domain/own.ts';
import type { PUBLIC_KEY_ALGORITHMS, VARIABLES } from './config-variables.ts';

/** Signature algorithm of a token that is verified with a public key. */
export type PublicKeyAlgorithm = (typeof PUBLIC_KEY_ALGORITHMS)[number];

/** Source of the keys that verify tokens. The API has exactly one source, and the source says which algorithms count. */
export type JwtSource =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'jwks'; readonly url: string; readonly algorithms: readonly PublicKeyAlgorithm[] }
  /** The provider's own description (OpenID Connect Discovery) says where its JWKS is. */
  | { readonly kind: 'discovery'; readonly issuer: string; readonly algorithms: readonly PublicKeyAlgorithm[] }
  | { readonly kind: 'key-file'; readonly file: string; readonly algorithm: PublicKeyAlgorithm };

/** A claim that tokens must have; with a value if it must be that one. */
export interface RequiredClaim {
  readonly claim: string;
  readonly value: string | undefined;
}

/** What the claims of a token must be, and what they mean. A claim is named as in `api/http/claims.ts`. */
export interface TokenRules {
  /** Absent = any. */
  readonly issuer: string | undefined;
  /** A token is for one of them. */
  readonly audiences: readonly string[];
  readonly audienceClaim: string;
  readonly required: readonly RequiredClaim[];
  readonly userClaim: string;
  readonly deviceClaim: string;
  /** Any of them makes an operator. */
  readonly operatorClaims: readonly string[];
  readonly operatorValue: string;
  /** Milliseconds by which the clock of the issuer may differ: for `nbf`, `iat` and `exp`. */
  readonly clockToleranceMs: number;
}

type Given = Readonly<Record<string, string | undefined>>;
type Values = z.output<z.ZodObject<typeof VARIABLES>>;

const SOURCES = ['JWT_SECRET', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY_FILE'] as const;
const NOT_ONE_SOURCE = `exactly one of ${SOURCES.join(', ')} must be set, or JWT_ISSUER alone`;

/**
 * Settings of the source of keys that contradict each other, or are missing.
 * @param given the variables that are set
 * @param isNeeded whether the process verifies tokens
 * @returns one sentence for each problem
 */
export function tokenProblems(given: Given, isNeeded: boolean): string[] {
  const sources = SOURCES.filter((name) => own(given, name) !== undefined);
  const issuer = own(given, 'JWT_ISSUER');
  const problems: string[] = [];
  if (isNeeded && sources.length === 0 && issuer === undefined) problems.push(`${NOT_ONE_SOURCE}: none is set`);
  if (isNeeded && sources.length > 1) problems.push(`${NOT_ONE_SOURCE}: ${sources.join(' and ')} are set`);
  if (sources.length === 0 && issuer !== undefined && !isIssuerUrl(issuer)) {
    problems.push(
      'JWT_ISSUER must be a URL that starts with https: or http://, without ? and #: it is where the keys are found',
    );
  }
  const other = sources.find((name) => name !== 'JWT_JWKS_URL');
  if (own(given, 'JWT_ALGORITHMS') !== undefined && other !== undefined) {
    problems.push(`JWT_ALGORITHMS is for keys of a JWKS, and ${other} is set: remove one`);
  }
  return problems;
}

function isIssuerUrl(text: string): boolean {
  return /^https?:\/\/[^?#]+$/.test(text) && URL.canParse(text);
}

/** @param values the parsed variables; undefined = none of them names a source */
export function jwtSource(values: Values): JwtSource | undefined {
  const algorithms = values.JWT_ALGORITHMS;
  if (values.JWT_SECRET !== undefined) return { kind: 'secret', secret: values.JWT_SECRET };
  if (values.JWT_JWKS_URL !== undefined) return { kind: 'jwks', url: values.JWT_JWKS_URL, algorithms };
  if (values.JWT_PUBLIC_KEY_FILE !== undefined) {
    return { kind: 'key-file', file: values.JWT_PUBLIC_KEY_FILE, algorithm: values.JWT_PUBLIC_KEY_ALG };
  }
  return values.JWT_ISSUER === undefined ? undefined : { kind: 'discovery', issuer: values.JWT_ISSUER, algorithms };
}

/** @param values the parsed variables */
export function tokenRules(values: Values): TokenRules {
  return {
    issuer: values.JWT_ISSUER,
    audiences: values.JWT_AUDIENCE,
    audienceClaim: values.JWT_AUDIENCE_CLAIM,
    required: values.JWT_REQUIRED_CLAIMS ?? [],
    userClaim: values.JWT_USER_CLAIM,
    deviceClaim: values.JWT_DEVICE_CLAIM,
    operatorClaims: values.JWT_OPERATOR_CLAIMS,
    operatorValue: values.JWT_OPERATOR_VALUE,
    clockToleranceMs: values.JWT_CLOCK_TOLERANCE ?? 0,
  };
}
