import type pg from 'pg';
import { markOf } from '../domain/position.ts';
import { type AddressedWelcome, readWelcomesTo } from '../store/device/device-streams.ts';
import { type Cursor, isAfter } from '../store/log/log-items.ts';
import { type SharedLogSlice, readSharedLogSlice } from '../store/log/log-slices.ts';
import { LogEvent } from './log-event.ts';
import type { Subscription } from './subscription.ts';

/** Entries of one read. Limits what one reader can have in its buffer. */
export const PAGE = 200;

export interface FeedDeps {
  readonly pool: pg.Pool;
  /** Milliseconds since 1970, by the clock of the database. */
  readonly now: () => number;
  /** @param lagSeconds time from the acceptance of an entry to its delivery to one subscription */
  readonly onDelivered: (lagSeconds: number) => void;
  readonly onError: (error: unknown) => void;
}

/** The subscriptions of this process to one conversation. One read of the log serves all live ones. */
export class Feed {
  readonly #conversation: string;
  readonly #deps: FeedDeps;
  readonly subscriptions = new Set<Subscription>();
  #isReading = false;
  /** There may be news that the current read does not see. */
  #readAgain = false;
  /** To be called after the next read. */
  #afterRead: (() => void)[] = [];

  constructor(conversation: string, deps: FeedDeps) {
    this.#conversation = conversation;
    this.#deps = deps;
  }

  /** Reads soon. Called for a notification, and when the poll finds news. */
  wake(): void {
    this.#readAgain = true;
    if (this.#isReading) return;
    this.#isReading = true;
    void this.#readAll();
  }

  /** A live subscription has not come as far as this cursor yet. */
  isBefore(cursor: Cursor): boolean {
    for (const subscription of this.subscriptions) {
      if (subscription.live && isAfter(cursor, subscription)) return true;
    }
    return false;
  }

  /** Reads soon, and calls back after a read that began after this call, also if it failed. */
  afterNextRead(callback: () => void): void {
    this.#afterRead.push(callback);
    this.wake();
  }

  async #readAll(): Promise<void> {
    while (this.#readAgain) {
      this.#readAgain = false;
      const callbacks = this.#afterRead;
      this.#afterRead = [];
      try {
        await this.#readOnce();
      } catch (error) {
        this.#deps.onError(error);
      }
      for (const callback of callbacks) callback();
    }
    this.#isReading = false;
  }

  /** One read, from one snapshot: what is new, and which of the users is no longer a member. */
  async #readOnce(): Promise<void> {
    const live: Subscription[] = [];
    /** Blocked readers whose stream must end as soon as their user loses the conversation. */
    const blocked: Subscription[] = [];
    for (const subscription of this.subscriptions) {
      if (subscription.live && !subscription.isReady) subscription.fallBehind();
      if (subscription.live) live.push(subscription);
      else if (subscription.endsWithMembership && subscription.isBlocked) blocked.push(subscription);
    }
    if (live.length + blocked.length === 0) return;
    const after = earliest(live);
    const users = [...new Set([...live, ...blocked].map(({ user }) => user))];
    const slice = await readSharedLogSlice(this.#deps.pool, this.#conversation, users, after, PAGE);
    if (slice === undefined || slice.deleted) {
      for (const subscription of live) subscription.deleted();
      for (const subscription of blocked) if (subscription.isBlocked) subscription.lostWhileBlocked();
      return;
    }
    for (const subscription of blocked) {
      if (subscription.isBlocked && slice.left.has(subscription.user)) subscription.lostWhileBlocked();
    }
    const welcomes = slice.hasWelcomes ? await this.#readWelcomes(live, after) : undefined;
    const events = slice.items.map((item) => new LogEvent(this.#conversation, item));
    for (const subscription of live) {
      // It may have fallen behind during the read.
      if (!subscription.live) continue;
      // A new membership interval began: the user may not read what is between the intervals. Members since the creation
      // have joined with entry 1.
      const hasRejoined = (slice.rejoined.get(subscription.user) ?? 0) > Math.max(1, subscription.seq);
      // One that is behind has its position judged by the database.
      const isSuspect = subscription.seq > slice.lastSeq || differs(subscription, slice);
      if (hasRejoined || isSuspect || subscription.seq + 1 < slice.oldestSeq) subscription.fallBehind();
      else this.#deliver(subscription, events, slice, welcomes?.get(subscription.user));
    }
    if (slice.more) this.#readAgain = true;
  }

  /** Welcomes by user. Read after the log: so the Welcomes of all commits in the slice are found. */
  async #readWelcomes(live: readonly Subscription[], { seq }: Cursor): Promise<Map<string, AddressedWelcome[]>> {
    const users = new Set(live.filter(({ device }) => device !== undefined).map(({ user }) => user));
    const byUser = new Map<string, AddressedWelcome[]>();
    if (users.size === 0) return byUser;
    for (const welcome of await readWelcomesTo(this.#deps.pool, this.#conversation, [...users], seq)) {
      const ofUser = byUser.get(welcome.user);
      if (ofUser === undefined) byUser.set(welcome.user, [welcome]);
      else ofUser.push(welcome);
    }
    return byUser;
  }

  #deliver(
    subscription: Subscription,
    events: readonly LogEvent[],
    slice: SharedLogSlice,
    welcomes: readonly AddressedWelcome[] = [],
  ): void {
    const leftSeq = slice.left.get(subscription.user);
    if (leftSeq === undefined) {
      for (const welcome of welcomes) if (welcome.seq > subscription.seq) subscription.deliverWelcome(welcome);
    }
    for (const event of events) {
      const { item } = event;
      if (!isAfter(item, subscription)) continue;
      // Invariant 8: nothing after the removal.
      if (leftSeq !== undefined && item.seq > leftSeq) break;
      if (!subscription.isReady) {
        if (leftSeq !== undefined && subscription.endsWithMembership) subscription.lostWhileBlocked();
        else subscription.fallBehind();
        return;
      }
      if (item.type === 'entry') this.#deps.onDelivered((this.#deps.now() - item.entry.at.getTime()) / 1000);
      subscription.deliver(event);
    }
    if (leftSeq !== undefined && reaches(slice, leftSeq)) subscription.removed(leftSeq);
  }
}

/** The log that was read is not the one that the subscription has delivered. */
function differs({ seq, mark }: Subscription, { start, items }: SharedLogSlice): boolean {
  if (mark === undefined) return false;
  if (seq === start.seq) return start.mark !== undefined && start.mark !== mark;
  const item = items.find((one) => one.type === 'entry' && one.seq === seq);
  return item?.type === 'entry' && item.entry.chain !== null && markOf(item.entry.chain) !== mark;
}

/** The slice holds everything up to this entry, with its changes. */
function reaches({ items, more }: SharedLogSlice, seq: number): boolean {
  const last = items.at(-1);
  return !more || (last !== undefined && last.seq > seq);
}

/** A cursor from which one read serves all of them. Without any: the end of the log. */
function earliest(live: readonly Subscription[]): Cursor {
  let first: Cursor = { seq: Number.MAX_SAFE_INTEGER - 1, key: 0 };
  for (const subscription of live) {
    if (isAfter(first, subscription)) first = { seq: subscription.seq, key: subscription.key };
  }
  return first;
}
