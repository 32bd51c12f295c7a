import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { Metrics } from '../../ops/process/metrics.ts';
import { findStale, readPage } from '../../store/entries.ts';
import { Feed } from './feed.ts';
import { Stream, type StreamTarget } from './stream.ts';

/** The poll alone must close a removed member's stream within 2 s (invariant 8), whatever notifications are lost. */
const POLL_MS = 1000;
const HEARTBEAT_MS = 15_000;

export interface HubDeps {
  readonly pool: pg.Pool;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** A reader that takes nothing for this long is closed with `slow-consumer`. */
  readonly slowMs: number;
}

/** All event streams of this process. */
export interface StreamHub {
  /**
   * Opens a stream on a response that has not begun.
   * @param after seq to go on after, or `latest` = live only
   * @throws AppError `not-found` when the conversation does not exist for the user
   */
  readonly open: (response: ServerResponse, target: StreamTarget, after: number | 'latest') => Promise<void>;
  /** A notification came. */
  readonly wake: (conversation: string) => void;
  /** Looks at everything once: after a lost session. */
  readonly wakeAll: () => void;
  readonly count: () => number;
  /** Tells every reader to reconnect, and ends. */
  readonly close: () => void;
}

/** Wakes feeds by notification, and by a poll as the safety net. */
export function makeStreamHub(deps: HubDeps): StreamHub {
  const feeds = new Map<string, Feed>();
  let count = 0;
  let closed = false;
  const onError = (error: unknown): void => deps.log.warn({ err: error }, 'stream read failed');

  const feedOf = (conversation: string): Feed => {
    let feed = feeds.get(conversation);
    if (feed === undefined) {
      feed = new Feed(conversation, { pool: deps.pool, onDelivered: deps.metrics.deliveryLag, onError });
      feeds.set(conversation, feed);
    }
    return feed;
  };
  const streams = (): Stream[] => [...feeds.values()].flatMap((feed) => [...feed.streams]);

  let polling = false;
  const poll = async (): Promise<void> => {
    const watched = streams()
      .filter((stream) => stream.live)
      .map(({ target, cursor }) => ({ conversation: target.conversation, user: target.user, seq: cursor }));
    if (watched.length === 0 || polling) return;
    polling = true;
    try {
      for (const conversation of await findStale(deps.pool, watched)) feeds.get(conversation)?.wake();
    } finally {
      polling = false;
    }
  };
  const pollTimer = setInterval(() => void poll().catch(onError), POLL_MS);
  const heartbeatTimer = setInterval(() => streams().forEach((stream) => stream.heartbeat()), HEARTBEAT_MS);

  return {
    open: async (response, target, after) => {
      const { conversation, user } = target;
      // Before the first byte, so that an outsider gets a problem and not a stream.
      const probe = await readPage(deps.pool, conversation, user, Number.MAX_SAFE_INTEGER - 1, 1);
      if (probe === undefined) throw new AppError('not-found');
      if (closed) throw new AppError('unavailable', 'The server is shutting down');
      // The reader has gone, or was answered at its deadline, while membership was looked up.
      if (response.headersSent || response.destroyed) return;
      const feed = feedOf(conversation);
      const stream = new Stream({
        target,
        response,
        cursor: after === 'latest' ? probe.lastSeq : after,
        slowMs: deps.slowMs,
        onDrain: (drained) => void feed.catchUp(drained),
        onClose: (reason) => {
          count--;
          deps.metrics.streamClosed(reason);
          feed.streams.delete(stream);
          if (feed.streams.size === 0 && feeds.get(conversation) === feed) feeds.delete(conversation);
        },
      });
      count++;
      feed.streams.add(stream);
      // The stream lives on by itself; whoever opened it is done.
      void feed.catchUp(stream);
    },
    wake: (conversation) => feeds.get(conversation)?.wake(),
    wakeAll: () => feeds.forEach((feed) => feed.wake()),
    count: () => count,
    close: () => {
      closed = true;
      clearInterval(pollTimer);
      clearInterval(heartbeatTimer);
      for (const stream of streams()) stream.end('reconnect', {});
    },
  };
}
