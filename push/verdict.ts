import type { PushKind } from '../domain/push.ts';
import type { PostAnswer } from './post.ts';

/** What an answer of a push service means for the wake-up. */
export type Verdict =
  | { readonly state: 'sent' }
  | { readonly state: 'gone' }
  /** No later try would do better. */
  | { readonly state: 'refused' }
  | { readonly state: 'failed'; readonly reason: FailureReason; readonly retryAfterMs: number | undefined };

/** Why a try failed that is tried again. */
export type FailureReason = 'no-answer' | 'server-error' | 'throttled' | 'not-authorized';

const GONE: ReadonlySet<number> = new Set([404, 410]);
const THROTTLED: ReadonlySet<number> = new Set([425, 429]);
const NOT_AUTHORIZED: ReadonlySet<number> = new Set([401, 403]);

/**
 * Judges an answer (RFC 8030 §5 and §7.3; docs/how-to/push/README.md for the gateway). A gateway that refuses the signature is set up wrong:
 * its operator mends it, so nothing is given up. A push service that refuses it has a subscription for another VAPID key.
 */
export function judgeAnswer(kind: PushKind, { status, retryAfterMs }: PostAnswer): Verdict {
  if (status >= 200 && status < 300) return { state: 'sent' };
  if (GONE.has(status)) return { state: 'gone' };
  if (THROTTLED.has(status)) return { state: 'failed', reason: 'throttled', retryAfterMs };
  if (kind === 'gateway' && NOT_AUTHORIZED.has(status))
    return { state: 'failed', reason: 'not-authorized', retryAfterMs };
  if (status >= 500 || status === 408) return { state: 'failed', reason: 'server-error', retryAfterMs };
  return { state: 'refused' };
}
