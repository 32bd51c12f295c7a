import type { DeviceId, UserId } from '../../domain/ids.ts';

/** The sender of a request, from its bearer token. */
export interface Caller {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly isOperator: boolean;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
  /** Milliseconds since 1970: the token's `iat`. */
  readonly issuedAt?: number;
  /** Replaces the user id in logs. */
  readonly pseudonym: string;
}
