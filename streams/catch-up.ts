import type { LimitFunction } from 'p-limit';
import type pg from 'pg';
import { type Stretch, readStretch } from '../store/log/stream-reads.ts';
import { readWelcomesTo } from '../store/device/device-streams.ts';
import { PAGE } from './feed.ts';
import { Item } from './stream-item.ts';
import type { Subscription } from './subscription.ts';

export interface CatchUpDeps {
  readonly pool: pg.Pool;
  /** Bounds the number of reads that run at the same time. */
  readonly limitReads: LimitFunction;
}

/**
 * Brings a subscription up to the end of the log, stretch by stretch.
 * @returns `live` at the end of the log; `ended` when there is nothing more to come; `blocked` when its reader must take
 * what there is first
 */
export async function catchUp(subscription: Subscription, deps: CatchUpDeps): Promise<'live' | 'ended' | 'blocked'> {
  const { conversation, user, device } = subscription;
  while (subscription.isReady) {
    const stretch = await deps.limitReads(() => readStretch(deps.pool, conversation, user, subscription, PAGE));
    if (stretch === undefined) {
      subscription.deleted();
      return 'ended';
    }
    if (stretch.truncated) {
      if (subscription.truncated(stretch.oldestSeq)) continue;
      return 'ended';
    }
    if (device !== undefined && stretch.welcomes) {
      // Read after the log, so that those of its commits are there.
      const welcomes = await deps.limitReads(() => readWelcomesTo(deps.pool, conversation, [user], subscription.seq));
      for (const welcome of welcomes) subscription.takeWelcome(welcome);
    }
    for (const item of stretch.items) {
      // Goes on when the reader has taken it.
      if (subscription.isFull) return 'blocked';
      enter(subscription, stretch, item.seq);
      subscription.take(new Item(conversation, item));
    }
    if (stretch.more) continue;
    if (stretch.leftSeq !== null) {
      enter(subscription, stretch, stretch.leftSeq);
      subscription.removed(stretch.leftSeq);
      return 'ended';
    }
    enter(subscription, stretch, Infinity);
    subscription.atEnd(stretch.lastSeq);
    return 'live';
  }
  return 'blocked';
}

/** The stay that a seq belongs to. What was told at the creation belongs to the first. */
function enter(subscription: Subscription, { stays, protocol }: Stretch, seq: number): void {
  const stay = stays.findLast(({ from }) => from <= seq) ?? stays[0];
  if (stay !== undefined) subscription.enter(stay, protocol);
}
