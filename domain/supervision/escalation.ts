import { bucketOf } from './backoff.ts';
import type { SupervisionPolicy } from './policy.ts';
import { type Bucket, type Order, within } from './state.ts';

/** The brakes: what is stopped because restarts did not help. */
export interface Brakes {
  readonly buckets: readonly Bucket[];
  readonly escalations: readonly number[];
  readonly degradedUntil: number;
}

/** The brakes as they are now: what is older than the window is forgotten. */
export function released(brakes: Brakes, policy: SupervisionPolicy, now: number): Brakes {
  return {
    buckets: brakes.buckets
      .map((bucket) => ({ ...bucket, escalations: within(bucket.escalations, policy.windowMs, now) }))
      .filter(({ escalations, stoppedUntil }) => escalations.length > 0 || stoppedUntil > now),
    escalations: within(brakes.escalations, policy.windowMs, now),
    degradedUntil: brakes.degradedUntil > now ? brakes.degradedUntil : 0,
  };
}

/** Whether restarts of this conversation are stopped, by its bucket or for the whole service. */
export function isStopped(brakes: Brakes, policy: SupervisionPolicy, conversation: string, now: number): boolean {
  if (brakes.degradedUntil > now) return true;
  const bucket = bucketOf(conversation, policy.buckets);
  return brakes.buckets.some((one) => one.bucket === bucket && one.stoppedUntil > now);
}

/**
 * A conversation had its restarts, and is still in trouble: its bucket hears of it. A bucket with too many such conversations is
 * stopped, and the service hears of that; with too many such buckets nothing is restarted any more. As in OTP, where a
 * supervisor that restarts too often ends, and its own supervisor decides.
 */
export function escalate(
  brakes: Brakes,
  policy: SupervisionPolicy,
  conversation: string,
  now: number,
): { readonly brakes: Brakes; readonly orders: readonly Order[] } {
  const number = bucketOf(conversation, policy.buckets);
  const known = brakes.buckets.find(({ bucket }) => bucket === number);
  const heard = [...(known?.escalations ?? []), now];
  const others = brakes.buckets.filter(({ bucket }) => bucket !== number);
  const isTooMuch = heard.length >= policy.bucketEscalations;
  const bucket: Bucket = isTooMuch
    ? { bucket: number, escalations: [], stoppedUntil: now + policy.windowMs }
    : { bucket: number, escalations: heard, stoppedUntil: known?.stoppedUntil ?? 0 };
  const next = { ...brakes, buckets: [...others, bucket] };
  if (!isTooMuch) return { brakes: next, orders: [] };
  const stop: Order = { action: 'stop-bucket', reason: 'escalations', details: { bucket: number } };
  const stopped = [...brakes.escalations, now];
  if (stopped.length < policy.serviceEscalations) {
    return { brakes: { ...next, escalations: stopped }, orders: [stop] };
  }
  return {
    brakes: { ...next, escalations: [], degradedUntil: now + policy.windowMs },
    orders: [stop, { action: 'degrade', reason: 'escalations', details: { buckets: stopped.length } }],
  };
}
