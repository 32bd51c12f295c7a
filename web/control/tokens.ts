import { postControl } from './refused.ts';

/** Who a development token is for. */
export interface TokenFor {
  readonly user: string;
  readonly device?: string;
  /** With the scope of operators. @default false */
  readonly operator?: boolean;
}

interface DevelopmentToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** A token is renewed this long before it expires, so that no request travels with one that ends on its way. */
const RENEW_BEFORE_MS = 60_000;

/**
 * Gives development tokens from the control server. The token stays in memory only. A new one is asked for before the old one expires;
 * while the control server does not answer, the old one serves as long as it is valid.
 * @returns a function for `HttpOptions.token` of the client library
 */
export function tokenFor(control: string, who: TokenFor): () => Promise<string> {
  let current: DevelopmentToken | undefined;
  let asked: Promise<DevelopmentToken> | undefined;
  const renew = (): Promise<DevelopmentToken> => {
    asked ??= (postControl(control, '/tokens', who) as Promise<DevelopmentToken>).finally(() => (asked = undefined));
    return asked;
  };
  return async () => {
    const left = (current?.expiresAt ?? 0) - Date.now();
    if (current !== undefined && left > RENEW_BEFORE_MS) return current.token;
    try {
      current = await renew();
    } catch (error) {
      if (current === undefined || left <= 0) throw error;
    }
    return current.token;
  };
}
