import type pg from 'pg';
import { type StreamPosition, findConversationsWithNews } from '../store/log/news.ts';
import type { Feeds } from './feeds.ts';
import type { Subscription } from './subscription.ts';

/** Subscriptions of one statement. */
const CHUNK = 2000;

/** Wakes the feeds of subscriptions that missed a notification. One statement checks many conversations. */
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
    const positions = [...subscriptions].map(positionOf).filter((position) => position !== undefined);
    for (let i = 0; i < positions.length; i += CHUNK) {
      const conversations = await findConversationsWithNews(deps.pool, positions.slice(i, i + CHUNK));
      for (const conversation of conversations) deps.feeds.wake(conversation);
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
  const { conversation, user, seq, mark, key, live, isReady, isBlocked, endsWithMembership } = subscription;
  if (live && isReady) return { conversation, user, seq, mark, key };
  if (!isBlocked || !endsWithMembership) return undefined;
  return { conversation, user, seq: null, key: 0 };
}
