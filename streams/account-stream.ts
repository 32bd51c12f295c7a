import type { ServerResponse } from 'node:http';
import type { LowStock, OpenedStream } from '../store/device/device-streams.ts';
import { type FollowedConversation, listFollowedConversations } from '../store/device/positions.ts';
import type { StreamName } from '../store/log/notifications.ts';
import { type Welcome, listWelcomes } from '../store/welcome/welcomes.ts';
import { type AccountOwner, AccountSubscription } from './account-subscription.ts';
import { Backlog } from './backlog.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { event } from './event.ts';
import type { StreamHost } from './stream-host.ts';

/** Welcomes of one read. */
const WELCOMES = 20;

export interface AccountTarget {
  readonly user: string;
  readonly device: string;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
  /** @default never */
  readonly isCutOff?: () => boolean;
}

/** The stream of one device for all its conversations (`/v1/events`). */
export class AccountStream implements ConnectionOwner, AccountOwner {
  readonly user: string;
  readonly device: string;
  readonly name: StreamName;
  readonly isCutOff: () => boolean;
  readonly connection: Connection;
  readonly backlog: Backlog;
  readonly #host: StreamHost;
  readonly #subscriptions = new Map<string, AccountSubscription>();
  /** Ids of delivered Welcomes. */
  #deliveredWelcomes: Set<string> | undefined;
  /** Conversations that the user lost on this stream -> last readable seq, up to which everything was delivered. */
  #deliveredUpTo: Map<string, number> | undefined;
  /** The incarnation in which it was opened, and recorded. */
  openedIn: string | undefined;
  /** The incarnation that its reader was told last. */
  #incarnation: string | undefined;
  /** `lowSince` of the last `low-stock` event; microseconds since 1970, null = none yet. */
  lowSince: number | null = null;
  /** Resolves the wait for a blocked reader. */
  #onReady: (() => void) | undefined;

  constructor(host: StreamHost, response: ServerResponse, target: AccountTarget, name: StreamName) {
    this.#host = host;
    this.user = target.user;
    this.device = target.device;
    this.isCutOff = target.isCutOff ?? ((): boolean => false);
    this.name = name;
    this.backlog = new Backlog(host.backlog);
    this.connection = new Connection(response, target.expiresAt, host.retryMs, this);
  }

  /** Delivers what exists already: first the Welcomes, because the entries after them may need them. */
  async start({ lowSince, available }: OpenedStream): Promise<void> {
    const { limitReads, onError } = this.#host.backlog;
    try {
      // Listed before the Welcomes are read: so the Welcomes of all commits in the list are found.
      const conversations = await limitReads(() => this.#followedConversations());
      await this.#deliverWaitingWelcomes();
      if (lowSince !== null) this.deliverLowStock({ lowSince, available });
      for (const conversation of conversations) this.follow(conversation);
    } catch (error) {
      onError(error);
      this.connection.end('reconnect');
    }
  }

  /** Subscribes to a conversation, unless it is subscribed already. */
  follow(followed: FollowedConversation): void {
    const { conversation, leftSeq, behind } = followed;
    if (this.connection.isClosed || this.#subscriptions.has(conversation)) return;
    const deliveredSeq = this.#deliveredUpTo?.get(conversation);
    if (leftSeq !== null && deliveredSeq !== undefined && deliveredSeq >= leftSeq) return;
    const subscription = new AccountSubscription(this, followed, deliveredSeq);
    this.#subscriptions.set(conversation, subscription);
    this.#host.feeds.add(subscription);
    subscription.begin(followed);
    if (behind) {
      subscription.fallBehind();
    } else {
      subscription.live = true;
      this.#host.backlog.checkSoon(subscription);
    }
  }

  isFollowing(conversation: string): boolean {
    return this.#subscriptions.has(conversation);
  }

  subscriptionTo(conversation: string): AccountSubscription | undefined {
    return this.#subscriptions.get(conversation);
  }

  unfollow(subscription: AccountSubscription, deliveredSeq?: number): void {
    const { conversation } = subscription;
    subscription.live = false;
    this.#host.feeds.delete(subscription);
    this.#subscriptions.delete(conversation);
    if (deliveredSeq === undefined) return;
    (this.#deliveredUpTo ??= new Map()).set(conversation, deliveredSeq);
    // The user may have been added again before this point: that addition found the conversation still followed.
    this.#host.checkMembership(this.user, conversation);
  }

  /**
   * Tells the incarnation of the service: once, and if it is another one. Then the stream ends: what it knows of memberships, Welcomes and
   * positions is that of a database that is gone.
   */
  tellIncarnation(incarnation: string | undefined): void {
    if (incarnation === undefined || incarnation === this.#incarnation) return;
    const isAnother = this.#incarnation !== undefined;
    this.#incarnation = incarnation;
    this.openedIn ??= incarnation;
    this.connection.write(event('service', { incarnation }));
    if (isAnother) this.connection.end('reconnect');
  }

  deliverWelcome({ id, conversation, welcome, seq, epoch }: Welcome): void {
    const delivered = (this.#deliveredWelcomes ??= new Set());
    if (delivered.has(id)) return;
    delivered.add(id);
    this.connection.write(event('welcome', { id, conversation, welcome: welcome.toString('base64'), seq, epoch }));
  }

  /** Delivers that the stock is low: once each time that it becomes low. */
  deliverLowStock({ lowSince, available }: LowStock): void {
    if (lowSince === this.lowSince) return;
    this.lowSince = lowSince;
    this.connection.write(event('low-stock', { available }));
  }

  endSlow(): void {
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

  async #followedConversations(): Promise<FollowedConversation[]> {
    const all: FollowedConversation[] = [];
    for await (const page of listFollowedConversations(this.#host.backlog.pool, this)) all.push(...page);
    return all;
  }

  /** Page by page: Welcomes that the reader cannot take yet stay in the database, not in memory. */
  async #deliverWaitingWelcomes(): Promise<void> {
    const { pool, limitReads } = this.#host.backlog;
    let after: string | undefined;
    for (let more = true; more && (await this.#untilReady());) {
      const { welcomes, next } = await limitReads(() => listWelcomes(pool, this, after, WELCOMES));
      after = this.#deliverUntilFull(welcomes) ?? next;
      more = after !== undefined;
    }
  }

  /** @returns id of the last delivered Welcome, when the reader had no room for the rest; otherwise `undefined` */
  #deliverUntilFull(welcomes: readonly Welcome[]): string | undefined {
    let last: Welcome | undefined;
    for (const welcome of welcomes) {
      if (last !== undefined && this.connection.isFull) return last.id;
      this.deliverWelcome(welcome);
      last = welcome;
    }
    return undefined;
  }

  /** Waits while the reader is blocked. @returns false when the stream has ended */
  async #untilReady(): Promise<boolean> {
    if (this.connection.isBlocked && !this.connection.isClosed) {
      await new Promise<void>((resolve) => (this.#onReady = resolve));
      this.#onReady = undefined;
    }
    return !this.connection.isClosed;
  }
}
