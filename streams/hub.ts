import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import pLimit from 'p-limit';
import type pg from 'pg';
import { AppError } from '../domain/errors.ts';
import type { Metrics } from '../process/metrics.ts';
import { readPage } from '../store/log/entries.ts';
import { openStream } from '../store/device/device-streams.ts';
import type { DeviceName } from '../store/key-package/key-packages.ts';
import type { Notifier, StreamName } from '../store/log/notifications.ts';
import { type AccountHost, AccountStream, type AccountTarget } from './account-stream.ts';
import { Accounts } from './account-streams.ts';
import { ConversationStream, type StreamTarget } from './conversation-stream.ts';
import { Feeds } from './feeds.ts';
import { makePlaces } from './stream-quota.ts';
import { type OpenStream, isAnswered } from './stream-host.ts';
import { makeWatch } from './missed-wakeups.ts';

/** The poll alone must close a removed member's stream within 2 s (invariant 8), whatever notifications are lost. */
const POLL_MS = 1000;
/** How exactly streams end with their tokens and their patience. */
const CHECK_MS = 250;
/** Reads for streams that are behind, at a time: after a restart thousands come back at once, and requests need connections too. */
const CATCH_UP_READS = 6;

export interface HubDeps {
  readonly pool: pg.Pool;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly notifier: Pick<Notifier, 'stream'>;
  /** A reader that takes nothing for this long is closed with `slow-consumer`. */
  readonly slowMs: number;
  /** Open streams of one user; 0 = no limit. */
  readonly perUser: number;
}

/** All event streams of this process. */
export interface StreamHub {
  /**
   * Opens the stream of a conversation on a response that has not begun.
   * @param after seq to go on after, or `latest` = live only
   * @throws AppError `not-found` when the conversation does not exist for the user; `rate-limited` when it has too many open
   */
  readonly open: (response: ServerResponse, target: StreamTarget, after: number | 'latest') => Promise<void>;
  /** Opens the stream of all conversations of a device; an older one of the same device ends. */
  readonly openAccount: (response: ServerResponse, target: AccountTarget) => Promise<void>;
  /** A notification came. @param changed more than entries */
  readonly wake: (conversation: string, seq: number, changed: boolean) => void;
  /** A notification about a device came. @param stream one that was opened */
  readonly wakeDevice: (device: DeviceName, stream?: StreamName) => void;
  /** Looks at everything once: after a lost session. */
  readonly wakeAll: () => void;
  readonly count: () => number;
  /** Tells every reader to reconnect, and ends. */
  readonly close: () => void;
}

/** Wakes feeds by notification, and by a poll as the safety net. */
export function makeStreamHub(deps: HubDeps): StreamHub {
  const { pool } = deps;
  const streams = new Set<OpenStream>();
  let closed = false;
  const onError = (error: unknown): void => deps.log.warn({ err: error }, 'stream read failed');
  const feeds = new Feeds({ pool, onDelivered: deps.metrics.deliveryLag, onError });
  const watch = makeWatch({ pool, feeds, onError });
  const accounts = new Accounts({ pool, notifier: deps.notifier });
  const places = makePlaces(deps.perUser);
  const host: AccountHost = {
    feeds,
    backlog: { pool, limitReads: pLimit(CATCH_UP_READS), onLive: watch.soon, onError },
    onClosed: (stream, reason) => {
      streams.delete(stream);
      places.leave(stream.user);
      if (stream instanceof AccountStream) accounts.delete(stream);
      deps.metrics.streamClosed(reason);
    },
    lookFor: (user, conversation) => void accounts.lookFor(user, conversation).catch(onError),
    check: watch.soon,
  };

  let polling = false;
  const poll = async (): Promise<void> => {
    // Those whose last read failed try again.
    for (const stream of streams) stream.backlog.advance();
    if (streams.size === 0 || polling) return;
    polling = true;
    try {
      await Promise.all([watch.all(), accounts.poll()]);
    } finally {
      polling = false;
    }
  };
  const check = (): void => {
    const now = Date.now();
    for (const stream of streams) if (stream.connection.check(now, deps.slowMs)) stream.slow();
  };
  const pollTimer = setInterval(() => void poll().catch(onError), POLL_MS);
  const checkTimer = setInterval(check, CHECK_MS);

  const refuseWhenClosed = (): void => {
    if (closed) throw new AppError('unavailable', 'The server is shutting down');
  };
  /**
   * Takes a place, which the stream gives back at its end.
   * @param prepare reads what the stream begins with; throws before the first byte, so that its reader gets a problem
   * @param begin makes the stream, which lives on by itself; whoever opened it is done
   */
  const openIn = async <T>(
    response: ServerResponse,
    user: string,
    prepare: () => Promise<T>,
    begin: (prepared: T) => OpenStream,
  ): Promise<void> => {
    refuseWhenClosed();
    places.take(user);
    let isOpen = false;
    try {
      const prepared = await prepare();
      refuseWhenClosed();
      if (isAnswered(response)) return;
      streams.add(begin(prepared));
      isOpen = true;
    } finally {
      if (!isOpen) places.leave(user);
    }
  };
  return {
    open: (response, target, after) =>
      openIn(
        response,
        target.user,
        async () => {
          const probe = await readPage(pool, target.conversation, target.user, Number.MAX_SAFE_INTEGER - 1, 1);
          if (probe === undefined) throw new AppError('not-found');
          return after === 'latest' ? probe.lastSeq : after;
        },
        (from) => new ConversationStream(host, response, target, from),
      ),
    openAccount: (response, target) => {
      const id = randomUUID();
      return openIn(
        response,
        target.user,
        () => openStream(pool, target, id),
        (opened) => {
          const stream = new AccountStream(host, response, target, { openedAt: opened.openedAt, id });
          // Before its conversations are listed: whatever is added from here on finds it.
          accounts.add(stream);
          void stream.start(opened);
          return stream;
        },
      );
    },
    wake: (conversation, seq, changed) => {
      feeds.wake(conversation);
      if (changed) void accounts.conversationChanged(conversation, seq).catch(onError);
    },
    wakeDevice: (device, stream) => {
      if (stream === undefined) void accounts.deviceChanged(device).catch(onError);
      else accounts.announced(device, stream);
    },
    wakeAll: () => void poll().catch(onError),
    count: () => streams.size,
    close: () => {
      closed = true;
      clearInterval(pollTimer);
      clearInterval(checkTimer);
      for (const stream of streams) stream.connection.end('reconnect');
    },
  };
}
