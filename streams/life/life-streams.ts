// The life of a conversation, for operators: facts about it as they happen (docs/explanation/life.md).
//
//   1. `LifeStreams.open` opens a stream. The first one of a conversation makes its feed (life-feed.ts); the last one ends it.
//   2. A feed has a looker (looker.ts) for each source: Postgres (log-news.ts, supervisor-news.ts) and Temporal
//      (dispatch/run-news.ts). A looker looks from time to time, and soon after something happened. Operations come by themselves.
//   3. The feed makes the text of each event once, gives it to all its streams, and keeps the newest for those that open later.
import type { ServerResponse } from 'node:http';
import { AppError } from '../../domain/errors.ts';
import { MAX_LIFE_STREAMS, MAX_LIFE_STREAMS_PER_OPERATOR } from '../../domain/limits.ts';
import { type DatabaseClock, OWN_CLOCK } from '../../process/database-clock.ts';
import { Connection } from '../connection.ts';
import { retryHint } from '../retry-hint.ts';
import { isAnswered } from '../stream-host.ts';
import { makeStreamQuota } from '../stream-quota.ts';
import { LifeFeed, type LifeFeedDeps } from './life-feed.ts';

/** How often connections are checked, as for other streams. */
const CHECK_MS = 250;

/** Who reads what, and until when. */
export interface LifeTarget {
  readonly conversation: string;
  /** User id of the operator. */
  readonly operator: string;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
  /** Whether an operator has removed this one from everywhere. */
  readonly isCutOff: () => boolean;
}

export interface LifeStreamsDeps extends Omit<LifeFeedDeps, 'onGone'> {
  /** Whether there is or was such a conversation; notes who looks. */
  readonly admit: (conversation: string, operator: string) => Promise<boolean>;
  /** Judges when tokens expire. @default the clock of the process */
  readonly clock?: Pick<DatabaseClock, 'now'>;
  /** A stream whose reader takes nothing for this long ends with `slow-consumer`. */
  readonly slowMs: number;
  readonly onClosed: (reason: string) => void;
}

/** All streams of facts of this process. */
export interface LifeStreams {
  /**
   * Opens a stream. The response must not have begun.
   * @throws AppError `not-found`; `rate-limited` when there are too many; `unavailable` when the process ends
   */
  readonly open: (response: ServerResponse, target: LifeTarget) => Promise<void>;
  /** For a notification about a conversation. */
  readonly wake: (conversation: string) => void;
  /** Open streams. */
  readonly count: () => number;
  /** Conversations that are watched. */
  readonly feeds: () => number;
  /** Ends all streams with `reconnect`, and refuses new ones. */
  readonly close: () => void;
}

export function makeLifeStreams(deps: LifeStreamsDeps): LifeStreams {
  const { clock = OWN_CLOCK, admit, slowMs, onClosed } = deps;
  const streams = new Set<LifeStream>();
  const feeds = new Map<string, LifeFeed>();
  const quota = makeStreamQuota(MAX_LIFE_STREAMS_PER_OPERATOR);
  /** Those that are being opened count too. */
  let taken = 0;
  let isClosed = false;
  let timer: ReturnType<typeof setInterval> | undefined;

  const check = (): void => {
    const now = clock.now();
    for (const { connection, target } of streams) {
      // It is told why when it comes back.
      if (target.isCutOff()) connection.end('reconnect');
      else if (connection.check(now, slowMs)) connection.end('slow-consumer');
    }
  };
  const refuseWhenClosed = (): void => {
    if (isClosed) throw new AppError('unavailable', 'The server is shutting down');
  };
  const takePlace = (operator: string): void => {
    if (taken >= MAX_LIFE_STREAMS) {
      throw new AppError('rate-limited', `A process has at most ${MAX_LIFE_STREAMS} such streams`);
    }
    quota.acquire(operator);
    taken++;
  };
  const givePlace = (operator: string): void => {
    quota.release(operator);
    taken--;
  };
  /** A restore took the conversation away. Whoever comes back is refused. */
  const onGone = (conversation: string): void => {
    for (const { connection, target } of streams) if (target.conversation === conversation) connection.end('reconnect');
  };
  const feedOf = (conversation: string): LifeFeed => {
    const feed = feeds.get(conversation) ?? new LifeFeed(conversation, { ...deps, onGone });
    feeds.set(conversation, feed);
    return feed;
  };

  const begin = (response: ServerResponse, target: LifeTarget): void => {
    const feed = feedOf(target.conversation);
    const deliver = (text: string): void => {
      if (connection.isFull) connection.end('slow-consumer');
      else connection.write(text);
    };
    const connection = new Connection(response, target.expiresAt, () => retryHint(streams.size), {
      // What comes meanwhile waits in the response, up to a limit.
      onDrain: () => undefined,
      onClose: (reason) => {
        feed.delete(deliver);
        streams.delete(stream);
        givePlace(target.operator);
        if (feed.isIdle) {
          feed.stop();
          feeds.delete(target.conversation);
        }
        if (streams.size === 0) clearInterval(timer);
        onClosed(reason);
      },
    });
    const stream = { target, connection };
    if (streams.size === 0) timer = setInterval(check, CHECK_MS);
    streams.add(stream);
    feed.add(deliver);
  };

  return {
    open: async (response, target) => {
      refuseWhenClosed();
      takePlace(target.operator);
      let isOpen = false;
      try {
        if (!(await admit(target.conversation, target.operator))) throw new AppError('not-found');
        refuseWhenClosed();
        if (isAnswered(response)) return;
        begin(response, target);
        isOpen = true;
      } finally {
        if (!isOpen) givePlace(target.operator);
      }
    },
    wake: (conversation) => {
      if (feeds.size > 0) feeds.get(conversation)?.wake();
    },
    count: () => streams.size,
    feeds: () => feeds.size,
    close: () => {
      isClosed = true;
      for (const { connection } of streams) connection.end('reconnect');
    },
  };
}

interface LifeStream {
  readonly target: LifeTarget;
  readonly connection: Connection;
}
