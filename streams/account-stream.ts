import type { ServerResponse } from 'node:http';
import type { LowStock, OpenedStream } from '../store/device/device-streams.ts';
import type { StreamName } from '../store/log/notifications.ts';
import { type Followed, listFollowed } from '../store/device/positions.ts';
import { type WelcomeRow, listWelcomes } from '../store/welcome/welcomes.ts';
import { type AccountOwner, AccountSubscription } from './account-subscription.ts';
import { Backlog } from './backlog.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { event } from './event.ts';
import type { StreamHost } from './stream-host.ts';
import type { Subscription } from './subscription.ts';

/** Welcomes of one read, at most. */
const WELCOMES = 20;

export interface AccountTarget {
  readonly user: string;
  readonly device: string;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
}

/** What account streams need beside what all streams share. */
export interface AccountHost extends StreamHost {
  /** Looks once whether the user has (again) become a member. */
  readonly lookFor: (user: string, conversation: string) => void;
  /** Looks at a live subscription, soon. */
  readonly check: (subscription: Subscription) => void;
}

/** One stream for all conversations of a device. */
export class AccountStream implements ConnectionOwner, AccountOwner {
  readonly user: string;
  readonly device: string;
  readonly name: StreamName;
  readonly connection: Connection;
  readonly backlog: Backlog;
  readonly #host: AccountHost;
  readonly #subscriptions = new Map<string, AccountSubscription>();
  /** Ids of Welcomes that this stream told. */
  #welcomed: Set<string> | undefined;
  /** Where the stays ended that this stream told to their end. */
  #told: Map<string, number> | undefined;
  /** Of the low stock that it told last. */
  lowSince: number | null = null;
  #onReady: (() => void) | undefined;

  constructor(host: AccountHost, response: ServerResponse, target: AccountTarget, name: StreamName) {
    this.#host = host;
    this.user = target.user;
    this.device = target.device;
    this.name = name;
    this.backlog = new Backlog(host.backlog);
    this.connection = new Connection(response, target.expiresAt, this);
  }

  /** Tells what there is already: Welcomes first, because what follows may need them. */
  async start({ lowSince, available }: OpenedStream): Promise<void> {
    const { pool, limitReads, onError } = this.#host.backlog;
    try {
      // Before the Welcomes: those of every commit up to what is listed here are there when they are read.
      const followed = await limitReads(() => listFollowed(pool, this));
      await this.#tellWelcomes();
      if (lowSince !== null) this.lowStock({ lowSince, available });
      for (const one of followed) this.follow(one);
    } catch (error) {
      onError(error);
      this.connection.end('reconnect');
    }
  }

  /** Takes up a conversation, unless it has it. */
  follow(followed: Followed): void {
    const { conversation, leftSeq, behind } = followed;
    if (this.connection.isClosed || this.#subscriptions.has(conversation)) return;
    const told = this.#told?.get(conversation);
    if (leftSeq !== null && told !== undefined && told >= leftSeq) return;
    const subscription = new AccountSubscription(this, followed, told);
    this.#subscriptions.set(conversation, subscription);
    this.#host.feeds.add(subscription);
    if (behind) {
      subscription.fallBehind();
    } else {
      subscription.live = true;
      this.#host.check(subscription);
    }
  }

  isFollowing(conversation: string): boolean {
    return this.#subscriptions.has(conversation);
  }

  /** @param told its user left, and was told everything up to here */
  drop(subscription: AccountSubscription, told?: number): void {
    const { conversation } = subscription;
    subscription.live = false;
    this.#host.feeds.delete(subscription);
    this.#subscriptions.delete(conversation);
    if (told === undefined) return;
    (this.#told ??= new Map()).set(conversation, told);
    // An addition that came in before this point found it followed still.
    this.#host.lookFor(this.user, conversation);
  }

  /** Tells a Welcome once. */
  welcome({ id, conversation, welcome, seq, epoch }: WelcomeRow): void {
    const welcomed = (this.#welcomed ??= new Set());
    if (welcomed.has(id)) return;
    welcomed.add(id);
    this.connection.write(event('welcome', { id, conversation, welcome: welcome.toString('base64'), seq, epoch }));
  }

  /** Tells that the stock is low, once each time that it becomes so. */
  lowStock({ lowSince, available }: LowStock): void {
    if (lowSince === this.lowSince) return;
    this.lowSince = lowSince;
    this.connection.write(event('low-stock', { available }));
  }

  slow(): void {
    this.connection.end('slow-consumer');
  }

  onDrain(): void {
    this.#onReady?.();
    this.backlog.advance();
  }

  onClose(reason: string): void {
    this.#onReady?.();
    this.backlog.clear();
    for (const subscription of this.#subscriptions.values()) this.#host.feeds.delete(subscription);
    this.#subscriptions.clear();
    this.#host.onClosed(this, reason);
  }

  async #tellWelcomes(): Promise<void> {
    const { pool, limitReads } = this.#host.backlog;
    let after: string | undefined;
    for (let more = true; more && (await this.#untilReady());) {
      const { welcomes, next } = await limitReads(() => listWelcomes(pool, this, after, WELCOMES));
      const blocked = this.#tellUntilFull(welcomes);
      // What found no room is read again once the reader has taken the rest: nothing of it stays in memory.
      after = blocked ?? next;
      more = after !== undefined;
    }
  }

  /** @returns id of the last one that was told, if there was no room for what follows */
  #tellUntilFull(welcomes: readonly WelcomeRow[]): string | undefined {
    for (const [i, welcome] of welcomes.entries()) {
      if (i > 0 && this.connection.isFull) return welcomes[i - 1]?.id;
      this.welcome(welcome);
    }
    return undefined;
  }

  /** @returns false when the stream has ended */
  async #untilReady(): Promise<boolean> {
    if (this.connection.isBlocked && !this.connection.isClosed) {
      await new Promise<void>((resolve) => (this.#onReady = resolve));
      this.#onReady = undefined;
    }
    return !this.connection.isClosed;
  }
}
