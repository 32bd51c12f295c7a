import type pg from 'pg';
import { type Cursor, type Tail, readTail } from '../store/log/stream-reads.ts';
import { type AddressedWelcome, readWelcomesTo } from '../store/device/device-streams.ts';
import { Item } from './stream-item.ts';
import type { Subscription } from './subscription.ts';

/** Entries per read: bounds what one reader can have in its buffer. */
export const PAGE = 200;

export interface FeedDeps {
  readonly pool: pg.Pool;
  readonly onDelivered: (lagSeconds: number) => void;
  readonly onError: (error: unknown) => void;
}

/** The subscriptions to one conversation in this process. Live ones are fed from one read of the log, however many they are. */
export class Feed {
  readonly #conversation: string;
  readonly #deps: FeedDeps;
  readonly subscriptions = new Set<Subscription>();
  #pumping = false;
  #again = false;

  constructor(conversation: string, deps: FeedDeps) {
    this.#conversation = conversation;
    this.#deps = deps;
  }

  /** Something happened: an entry, a change, or the poll thinks so. */
  wake(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#pump();
  }

  async #pump(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        await this.#feed();
      } catch (error) {
        this.#deps.onError(error);
      }
    }
    this.#pumping = false;
  }

  /** One read for all: what is new, and who of the watchers is a member no more, of one snapshot. */
  async #feed(): Promise<void> {
    const live: Subscription[] = [];
    const blocked: Subscription[] = [];
    for (const subscription of this.subscriptions) {
      if (subscription.live && !subscription.isReady) subscription.fallBehind();
      if (subscription.live) live.push(subscription);
      else if (subscription.endsWithMembership && subscription.isBlocked) blocked.push(subscription);
    }
    if (live.length + blocked.length === 0) return;
    const after = earliest(live);
    const users = [...new Set([...live, ...blocked].map(({ user }) => user))];
    const tail = await readTail(this.#deps.pool, this.#conversation, users, after, PAGE);
    if (tail === undefined || tail.deleted) {
      for (const subscription of live) subscription.deleted();
      for (const subscription of blocked) if (subscription.isBlocked) subscription.cut();
      return;
    }
    for (const subscription of blocked) {
      if (subscription.isBlocked && tail.left[subscription.user] !== undefined) subscription.cut();
    }
    const welcomes = tail.welcomes ? await this.#welcomes(live, after) : undefined;
    const items = tail.items.map((item) => new Item(this.#conversation, item));
    for (const subscription of live) {
      // It may have begun to read for itself while the log was read.
      if (!subscription.live) continue;
      // Of a stay that began meanwhile it tells that too. Whoever is there from the creation on joins with entry 1.
      const hasRejoined = (tail.rejoined[subscription.user] ?? 0) > Math.max(1, subscription.seq);
      if (hasRejoined || subscription.seq + 1 < tail.oldestSeq) subscription.fallBehind();
      else this.#deliver(subscription, items, tail, welcomes?.get(subscription.user));
    }
    if (tail.more) this.#again = true;
  }

  /** Read after the log, so that those of its commits are there. */
  async #welcomes(live: readonly Subscription[], { seq }: Cursor): Promise<Map<string, AddressedWelcome[]>> {
    const users = new Set(live.filter(({ device }) => device !== undefined).map(({ user }) => user));
    const byUser = new Map<string, AddressedWelcome[]>();
    if (users.size === 0) return byUser;
    for (const welcome of await readWelcomesTo(this.#deps.pool, this.#conversation, [...users], seq)) {
      const known = byUser.get(welcome.user);
      if (known === undefined) byUser.set(welcome.user, [welcome]);
      else known.push(welcome);
    }
    return byUser;
  }

  #deliver(
    subscription: Subscription,
    items: readonly Item[],
    tail: Tail,
    welcomes: readonly AddressedWelcome[] = [],
  ): void {
    const leftSeq = tail.left[subscription.user];
    if (leftSeq === undefined) {
      for (const welcome of welcomes) if (welcome.seq > subscription.seq) subscription.takeWelcome(welcome);
    }
    for (const item of items) {
      if (!item.isAfter(subscription)) continue;
      if (leftSeq !== undefined && item.seq > leftSeq) break;
      if (!subscription.isReady) {
        if (leftSeq !== undefined && subscription.endsWithMembership) subscription.cut();
        else subscription.fallBehind();
        return;
      }
      const { entry } = item.log;
      if (entry !== undefined) this.#deps.onDelivered((Date.now() - entry.at.getTime()) / 1000);
      subscription.take(item);
    }
    if (leftSeq !== undefined && (!tail.more || (items.at(-1)?.seq ?? 0) > leftSeq)) subscription.removed(leftSeq);
  }
}

/** From where a read serves all of them; after everything when there are none. */
function earliest(live: readonly Subscription[]): Cursor {
  let first: Cursor = { seq: Number.MAX_SAFE_INTEGER - 1, key: 0 };
  for (const { seq, key } of live) {
    if (seq < first.seq || (seq === first.seq && key < first.key)) first = { seq, key };
  }
  return first;
}
