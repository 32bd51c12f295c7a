import type { LimitFunction } from 'p-limit';
import type pg from 'pg';
import { readWelcomesTo } from '../store/device/device-streams.ts';
import { type UserLogSlice, readUserLogSlice } from '../store/log/log-slices.ts';
import { PAGE } from './feed.ts';
import { LogEvent } from './log-event.ts';
import type { Subscription } from './subscription.ts';

export interface CatchUpDeps {
  readonly pool: pg.Pool;
  /** Bounds the number of reads that run at the same time. */
  readonly limitReads: LimitFunction;
}

/**
 * Reads for one subscription, slice by slice, up to the end of the log.
 * @returns `live`: at the end of the log. `ended`: nothing more will come. `blocked`: its reader must first take what was
 * written
 */
export async function catchUp(subscription: Subscription, deps: CatchUpDeps): Promise<'live' | 'ended' | 'blocked'> {
  const { conversation, user, device } = subscription;
  while (subscription.isReady) {
    const slice = await deps.limitReads(() => readUserLogSlice(deps.pool, conversation, user, subscription, PAGE));
    if (slice === undefined) {
      subscription.deleted();
      return 'ended';
    }
    if (slice.restarted) {
      const { lastSeq, oldestSeq } = slice;
      subscription.restarted({ lastSeq, oldestSeq });
      return 'ended';
    }
    if (slice.truncated) {
      if (subscription.skipDeleted(slice.oldestSeq)) continue;
      return 'ended';
    }
    if (device !== undefined && slice.hasWelcomes) {
      // Read after the log: so the Welcomes of all commits in the slice are found.
      const welcomes = await deps.limitReads(() => readWelcomesTo(deps.pool, conversation, [user], subscription.seq));
      for (const welcome of welcomes) subscription.deliverWelcome(welcome);
    }
    for (const item of slice.items) {
      // The backlog continues when the reader has drained.
      if (subscription.isFull) return 'blocked';
      enterInterval(subscription, slice, item.seq);
      subscription.deliver(new LogEvent(conversation, item));
    }
    if (slice.more) continue;
    if (slice.leftSeq !== null) {
      enterInterval(subscription, slice, slice.leftSeq);
      subscription.removed(slice.leftSeq);
      return 'ended';
    }
    enterInterval(subscription, slice, Infinity);
    subscription.reachEnd(slice.end);
    return 'live';
  }
  return 'blocked';
}

/** Enters the membership interval of a seq. Changes at the creation have seq 0; they belong to the first interval. */
function enterInterval(subscription: Subscription, { intervalStarts, protocol }: UserLogSlice, seq: number): void {
  const start = intervalStarts.findLast((from) => from <= seq) ?? intervalStarts[0];
  if (start !== undefined) subscription.enterInterval(start, protocol);
}
