import type pg from 'pg';
import { type Watched, findStale } from '../store/log/stream-reads.ts';
import type { Feeds } from './feeds.ts';
import type { Subscription } from './subscription.ts';

/** Conversations of one statement. */
const CHUNK = 2000;

/** Finds out what subscriptions have missed, and wakes their feeds: one statement for many conversations. */
export interface Watch {
  /** Looks at one, together with others that ask at about the same time. */
  readonly soon: (subscription: Subscription) => void;
  /** Looks at all. */
  readonly all: () => Promise<void>;
}

export function makeWatch(deps: {
  readonly pool: pg.Pool;
  readonly feeds: Feeds;
  readonly onError: (error: unknown) => void;
}): Watch {
  let waiting = new Set<Subscription>();
  let running = false;

  const look = async (subscriptions: Iterable<Subscription>): Promise<void> => {
    const watched = [...subscriptions].map(watchedOf).filter((one) => one !== undefined);
    for (let i = 0; i < watched.length; i += CHUNK) {
      const stale = await findStale(deps.pool, watched.slice(i, i + CHUNK));
      for (const conversation of stale) deps.feeds.wake(conversation);
    }
  };
  const flush = async (): Promise<void> => {
    while (waiting.size > 0) {
      const next = waiting;
      waiting = new Set();
      // What could not be looked at is found by the poll.
      await look(next).catch(deps.onError);
    }
    running = false;
  };
  return {
    soon: (subscription) => {
      waiting.add(subscription);
      if (running) return;
      running = true;
      setImmediate(() => void flush());
    },
    all: () => look(deps.feeds.subscriptions()),
  };
}

/** What is to be looked at; of a reader that does not keep up only whether its user is still a member. */
function watchedOf(subscription: Subscription): Watched | undefined {
  const { conversation, user, seq, key, live, isReady, isBlocked, endsWithMembership } = subscription;
  if (live && isReady) return { conversation, user, seq, key };
  if (!isBlocked || !endsWithMembership) return undefined;
  return { conversation, user, seq: Number.MAX_SAFE_INTEGER, key: 0 };
}
