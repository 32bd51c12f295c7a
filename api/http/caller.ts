import type { DeviceId, UserId } from '../../domain/ids.ts';
import type { TicketUse } from '../../store/device/stream-tickets.ts';

/** The sender of a request, from its bearer token and the header that names its device. */
export interface Caller {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly isOperator: boolean;
  /** Milliseconds since 1970: the token's `exp`, with the tolerance for clocks. */
  readonly expiresAt: number;
  /** Milliseconds since 1970: the token's `iat`. */
  readonly issuedAt?: number;
  /** Replaces the user id in logs. */
  readonly pseudonym: string;
  /** The request came with this ticket, and without a token. */
  readonly ticket?: TicketUse;
}
