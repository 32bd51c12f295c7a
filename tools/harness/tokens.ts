import { signToken } from '../../local/development-token.ts';
import type { TokenRules } from '../../process/token-config.ts';

/** The secret of every service that the harness starts; its tokens are made here. */
export const SECRET = 'harness-secret-harness-secret-harness-secret-01';
export const AUDIENCE = 'parley';

/** As configured by default, but without tolerance: tests see at once that a token expires. */
export const TOKEN_RULES: TokenRules = {
  issuer: undefined,
  audiences: [AUDIENCE],
  audienceClaim: 'aud',
  required: [],
  userClaim: 'sub',
  deviceClaim: 'device',
  operatorClaims: ['scope'],
  operatorValue: 'operator',
  clockToleranceMs: 0,
};

export interface TokenClaims {
  /** @default none */
  readonly device?: string | undefined;
  /** With the scope `operator`. @default for the user `operator` only */
  readonly operator?: boolean | undefined;
  /** For example `2s`. @default a day */
  readonly expiresIn?: string;
}

/** A token of a user. */
export function tokenOf(user: string, claims: TokenClaims = {}): Promise<string> {
  const { device, operator = user === 'operator', expiresIn } = claims;
  return signToken({
    secret: SECRET,
    audience: AUDIENCE,
    user,
    operator,
    ...(device === undefined ? {} : { device }),
    ...(expiresIn === undefined ? {} : { expiresIn }),
  });
}

/** Like `tokenOf`, but signs each token once: a load generator asks for the same ones again and again. */
export function rememberTokens(): (user: string, claims?: Omit<TokenClaims, 'expiresIn'>) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  return (user, claims = {}) => {
    const key = JSON.stringify([user, claims.device, claims.operator]);
    const token = known.get(key) ?? tokenOf(user, claims);
    known.set(key, token);
    return token;
  };
}
