import type pg from 'pg';
import { type StreamPosition, findNews } from '../store/log/news.ts';
import type { Feeds } from './feeds.ts';
import type { Subscription } from './subscription.ts';

/** Subscriptions of one statement. */
const CHUNK = 2000;

/**
 * Wakes the feeds of subscriptions that missed a notification, and tells them of read marks that moved. One statement checks many
 * conversations.
 */
export interface MissedWakeupCheck {
  /** Checks one, together with others that ask at about the same time. */
  readonly checkSoon: (subscription: Subscription) => void;
  /** Checks all subscriptions of the process. */
  readonly checkAll: () => Promise<void>;
}

export function makeMissedWakeupCheck(deps: {
  readonly pool: pg.Pool;
  readonly feeds: Feeds;
  readonly onError: (error: unknown) => void;
}): MissedWakeupCheck {
  let waiting = new Set<Subscription>();
  let isRunning = false;

  const check = async (subscriptions: Iterable<Subscription>): Promise<void> => {
    const checked = [...subscriptions].flatMap((subscription) => {
      const position = positionOf(subscription);
      return position === undefined ? [] : [{ subscription, position }];
    });
    for (let i = 0; i < checked.length; i += CHUNK) {
      const chunk = checked.slice(i, i + CHUNK);
      const news = await findNews(
        deps.pool,
        chunk.map(({ position }) => position),
      );
      for (const { index, inLog, read } of news) {
        const { subscription, position } = chunk[index] ?? {};
        if (subscription === undefined) continue;
        if (inLog) deps.feeds.wake(subscription.conversation);
        // Two checks may end in another order than they began: the one that began before the last event is not told. The next poll
        // finds what is true then.
        if (read !== undefined && subscription.readMark === position?.readMark) subscription.tellRead(read);
      }
    }
  };
  const checkWaiting = async (): Promise<void> => {
    while (waiting.size > 0) {
      const next = waiting;
      waiting = new Set();
      // After a failure the poll checks them.
      await check(next).catch(deps.onError);
    }
    isRunning = false;
  };
  return {
    checkSoon: (subscription) => {
      waiting.add(subscription);
      if (isRunning) return;
      isRunning = true;
      setImmediate(() => void checkWaiting());
    },
    checkAll: () => check(deps.feeds.subscriptions()),
  };
}

/**
 * The position to check. A blocked reader cannot take anything new, so for it only a lost membership counts.
 * `undefined`: nothing to check.
 */
function positionOf(subscription: Subscription): StreamPosition | undefined {
  const { conversation, user, seq, mark, key, readMark, live, isReady, isBlocked, endsWithMembership } = subscription;
  if (live && isReady) return { conversation, user, seq, mark, key, readMark };
  if (!isBlocked || !endsWithMembership) return undefined;
  return { conversation, user, seq: null, key: 0, readMark: null };
}
