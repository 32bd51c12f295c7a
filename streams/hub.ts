// How an entry reaches a device:
//
//   1. The decision of an entry sends a Postgres notification; the listener of each API process calls `wake`.
//   2. `wake` wakes the feed of the conversation (feeds.ts, feed.ts). The feed reads the new entries and changes once for
//      all its live subscriptions and gives each one what its user may read.
//   3. A subscription (subscription.ts) is one conversation on one stream: a conversation stream has exactly one
//      (conversation-stream.ts), an account stream has one for each conversation that it follows (account-stream.ts,
//      account-subscription.ts). It writes the text of each item (log-event.ts) to the connection (connection.ts).
//   4. A subscription that is behind, because it just opened or its reader is slow, waits in the backlog of its stream
//      (backlog.ts). It reads for itself (catch-up.ts) until it reaches the end of the log; then it is live.
//   5. Notifications can get lost. So a poll each second looks for missed wake-ups (missed-wakeups.ts).
//
//
// Signals (signals.ts) are no part of the log. They come with a notification, go to the subscriptions that are live, and
// are dropped where anything is behind.
//
// Account streams also need what concerns users and devices, not conversations: account-streams.ts.
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import pLimit from 'p-limit';
import type pg from 'pg';
import { AppError } from '../domain/errors.ts';
import { type Position, positionAt } from '../domain/position.ts';
import { type DatabaseClock, OWN_CLOCK } from '../process/database-clock.ts';
import type { Metrics } from '../process/metrics.ts';
import { openStream } from '../store/device/device-streams.ts';
import type { DeviceName } from '../store/key-package/key-packages.ts';
import type { Notifier, StreamName } from '../store/log/notifications.ts';
import { readLogStart } from '../store/log/positions.ts';
import { type IncarnationWatch, makeIncarnationWatch } from '../store/process/incarnation-watch.ts';
import { parseSignal } from '../store/signal/signals.ts';
import { AccountStream, type AccountTarget } from './account-stream.ts';
import { AccountStreams } from './account-streams.ts';
import { ConversationStream, type StreamTarget } from './conversation-stream.ts';
import { Feeds } from './feeds.ts';
import { makeMissedWakeupCheck } from './missed-wakeups.ts';
import { OpenDevices } from './open-devices.ts';
import { Signals } from './signals.ts';
import { retryHint } from './retry-hint.ts';
import { type OpenStream, type StreamHost, isAnswered } from './stream-host.ts';
import { makeStreamQuota } from './stream-quota.ts';
import { TicketStreams } from './ticket-streams.ts';

/** The poll alone must end the stream of a removed member within 2 s, when notifications are lost (invariant 8). */
const POLL_MS = 1000;
/** How often connections are checked: streams end within this time after their token expires, and slow readers are found. */
const CHECK_MS = 250;
/** Concurrent reads for streams that are behind. After a restart thousands come back at once; requests need connections too. */
const CATCH_UP_READS = 6;

export interface HubDeps {
  readonly pool: pg.Pool;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly notifier: Pick<Notifier, 'stream'>;
  /** @default one that looks when the first account stream opens */
  readonly incarnation?: Pick<IncarnationWatch, 'current' | 'known' | 'onChange' | 'refresh'>;
  /** Judges when tokens expire. @default the clock of the process */
  readonly clock?: Pick<DatabaseClock, 'now'>;
  /** A stream whose reader takes nothing for this long ends with `slow-consumer`. */
  readonly slowMs: number;
  /** Open streams of one user; 0 = no limit. */
  readonly perUser: number;
  /** The process has more work than it can do in time: it drops signals. @default never */
  readonly isOverloaded?: () => boolean;
}

/** All event streams of this process. */
export interface StreamHub {
  /**
   * Opens the stream of a conversation. The response must not have begun.
   * @param after where the stream starts; `latest` = only entries from now on
   * @throws AppError `not-found` when the conversation does not exist for the user; `log-restarted` when the log does not go on from
   * there; `rate-limited` when the user has too
   * many open streams; `unavailable` when the hub is closed
   */
  readonly open: (response: ServerResponse, target: StreamTarget, after: Position | 'latest') => Promise<void>;
  /** Opens the account stream of a device, and ends an older one of the same device. @throws AppError like `open` */
  readonly openAccount: (response: ServerResponse, target: AccountTarget) => Promise<void>;
  /** For a notification about a conversation. @param changed more than entries */
  readonly wake: (conversation: string, seq: number, changed: boolean) => void;
  /** For a notification about a device. @param stream set when the device opened one */
  readonly wakeDevice: (device: DeviceName, stream?: StreamName) => void;
  /** For a notification that the read mark of a user moved. */
  readonly wakeRead: (user: string, conversation: string) => void;
  /** For a notification with a signal. */
  readonly signal: (payload: string) => void;
  /** Checks everything once. For a new listening session: notifications before it may be lost. */
  readonly wakeAll: () => void;
  /** Open streams. */
  readonly count: () => number;
  /** Open streams that follow a conversation. */
  readonly countOf: (conversation: string) => number;
  /** Ends all streams with `reconnect`, and refuses new ones. */
  readonly close: () => void;
}

export function makeStreamHub(deps: HubDeps): StreamHub {
  const { pool, clock = OWN_CLOCK, incarnation = makeIncarnationWatch(deps) } = deps;
  const streams = new Set<OpenStream>();
  let closed = false;
  /** Set while all streams end: then their number falls, but as many as there were come back. */
  let streamsAtClose: number | undefined;
  const onError = (error: unknown): void => deps.log.warn({ err: error }, 'stream read failed');
  const feeds = new Feeds({ pool, now: clock.now, onDelivered: deps.metrics.deliveryLag, onError });
  const signals = new Signals({
    feeds,
    metrics: deps.metrics,
    isOverloaded: deps.isOverloaded ?? ((): boolean => false),
  });
  const missedWakeups = makeMissedWakeupCheck({ pool, feeds, onError });
  const accountStreams = new AccountStreams({ pool, notifier: deps.notifier, incarnation });
  incarnation.onChange((id) => accountStreams.tellIncarnation(id));
  const ticketStreams = new TicketStreams({ pool, incarnation });
  const quota = makeStreamQuota(deps.perUser);
  const host: StreamHost = {
    feeds,
    backlog: { pool, limitReads: pLimit(CATCH_UP_READS), checkSoon: missedWakeups.checkSoon, onError },
    retryMs: () => retryHint(streamsAtClose ?? streams.size),
    onClosed: (stream, reason) => {
      streams.delete(stream);
      quota.release(stream.user);
      if (stream instanceof AccountStream) accountStreams.delete(stream);
      if (stream instanceof ConversationStream) ticketStreams.delete(stream);
      deps.metrics.streamClosed(reason);
    },
    checkMembership: (user, conversation) => void accountStreams.checkMembership(user, conversation).catch(onError),
  };

  let isPolling = false;
  const poll = async (): Promise<void> => {
    // Backlogs whose last read failed try again.
    for (const stream of streams) stream.backlog.advance();
    if (streams.size === 0 || isPolling) return;
    isPolling = true;
    try {
      await Promise.all([missedWakeups.checkAll(), accountStreams.poll(), ticketStreams.poll()]);
    } finally {
      isPolling = false;
    }
  };
  const checkConnections = (): void => {
    const now = clock.now();
    for (const stream of streams) {
      if (stream.isCutOff()) stream.connection.cut('removed');
      else if (stream.connection.check(now, deps.slowMs)) stream.endSlow();
    }
  };
  const pollTimer = setInterval(() => void poll().catch(onError), POLL_MS);
  const checkTimer = setInterval(checkConnections, CHECK_MS);

  const openDevices = new OpenDevices(pool, onError);
  const openedBy = (response: ServerResponse, device: DeviceName, id: string): void => {
    openDevices.opened(device, id);
    response.once('close', () => openDevices.closed(id));
  };

  const refuseWhenClosed = (): void => {
    if (closed) throw new AppError('unavailable', 'The server is shutting down');
  };
  /**
   * Opens a stream within the quota of its user; the quota counts it until it closes.
   * @param prepare reads what the stream needs at its start. It runs before the first byte: when it throws, the request
   * still gets a problem as its answer
   * @param begin makes the stream, and writes the first byte. From then on the stream lives without its request handler
   */
  const openWithinQuota = async <T>(
    response: ServerResponse,
    user: string,
    prepare: () => Promise<T>,
    begin: (prepared: T) => OpenStream,
  ): Promise<void> => {
    refuseWhenClosed();
    quota.acquire(user);
    let isOpen = false;
    try {
      const prepared = await prepare();
      refuseWhenClosed();
      if (isAnswered(response)) return;
      const stream = begin(prepared);
      isOpen = true;
      // One that a newer stream replaces may have ended already.
      if (!stream.connection.isClosed) streams.add(stream);
    } finally {
      if (!isOpen) quota.release(user);
    }
  };
  return {
    open: (response, target, after) => {
      if (target.ticket !== undefined) ticketStreams.endOlder(target.ticket);
      return openWithinQuota(
        response,
        target.user,
        async () => {
          if (target.ticket !== undefined) await incarnation.known();
          const asked = after === 'latest' ? { seq: 0 } : after;
          const start = await readLogStart(pool, target.conversation, target.user, asked);
          if (start === undefined) throw new AppError('not-found');
          const { lastSeq, oldestSeq, head, restarted } = start;
          if (restarted) throw new AppError('log-restarted', undefined, { lastSeq, oldestSeq });
          return after === 'latest' ? positionAt(lastSeq, head) : after;
        },
        (startAfter) => {
          openedBy(response, target, randomUUID());
          const stream = new ConversationStream(host, response, target, startAfter);
          ticketStreams.add(stream);
          return stream;
        },
      );
    },
    openAccount: (response, target) => {
      const id = randomUUID();
      return openWithinQuota(
        response,
        target.user,
        async () => {
          await incarnation.known();
          return openStream(pool, target, id);
        },
        (opened) => {
          const stream = new AccountStream(host, response, target, { openedAt: opened.openedAt, id });
          // The first event: what a device does after a restore, it does before it reads.
          stream.tellIncarnation(incarnation.current());
          // Before `start` lists its conversations: so later additions find the stream.
          accountStreams.add(stream);
          openedBy(response, target, id);
          void stream.start(opened);
          return stream;
        },
      );
    },
    wake: (conversation, seq, changed) => {
      feeds.wake(conversation);
      if (changed) void accountStreams.conversationChanged(conversation, seq).catch(onError);
    },
    wakeDevice: (device, stream) => {
      if (stream === undefined) void accountStreams.deviceChanged(device).catch(onError);
      else accountStreams.endOlder(device, stream);
    },
    wakeRead: (user, conversation) => {
      for (const subscription of accountStreams.subscriptionsTo(conversation, user))
        missedWakeups.checkSoon(subscription);
    },
    signal: (payload) => signals.receive(parseSignal(payload)),
    wakeAll: () => void poll().catch(onError),
    count: () => streams.size,
    countOf: (conversation) => feeds.countOf(conversation),
    close: () => {
      closed = true;
      streamsAtClose = streams.size;
      clearInterval(pollTimer);
      clearInterval(checkTimer);
      for (const stream of streams) stream.connection.end('reconnect');
    },
  };
}
