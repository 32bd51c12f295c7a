import { fromBase64 } from '../../client/index.ts';

/** What a token says about its user. The service verifies it; the page only wants to know who it is for. */
export interface TokenClaims {
  readonly user: string;
  /** Absent: the token is for any device. */
  readonly device?: string;
}

/** Reads the claims of a JWT. @returns undefined if the text is none, or names no user */
export function claimsOf(token: string): TokenClaims | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const bytes = fromBase64(payload.replaceAll('-', '+').replaceAll('_', '/'));
    const { sub, device } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; device?: unknown };
    if (typeof sub !== 'string' || sub === '') return undefined;
    return { user: sub, ...(typeof device === 'string' ? { device } : {}) };
  } catch {
    return undefined;
  }
}
