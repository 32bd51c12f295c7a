import type { Stay } from '../store/log/stream-reads.ts';
import type { AddressedWelcome } from '../store/device/device-streams.ts';
import type { Followed } from '../store/device/positions.ts';
import type { WelcomeRow } from '../store/welcome/welcomes.ts';
import type { Backlog } from './backlog.ts';
import type { Connection } from './connection.ts';
import { event } from './event.ts';
import type { Item } from './stream-item.ts';
import type { Subscription } from './subscription.ts';

/** After all changes of a seq. */
const AFTER_CHANGES = Number.MAX_SAFE_INTEGER;

/** The stream that a subscription is a part of. */
export interface AccountOwner {
  readonly user: string;
  readonly device: string;
  readonly connection: Connection;
  readonly backlog: Backlog;
  /** Tells a Welcome once. */
  readonly welcome: (welcome: WelcomeRow) => void;
  /** @param told its user left, and was told everything up to here */
  readonly drop: (subscription: AccountSubscription, told?: number) => void;
}

/** One conversation on the account stream of a device. */
export class AccountSubscription implements Subscription {
  readonly conversation: string;
  readonly endsWithMembership = false;
  readonly #stream: AccountOwner;
  /** The device knows of stays that began up to here. */
  readonly #known: number;
  /** First entry of the stay that the cursor is in. */
  #stay: number | undefined;
  /** Where its user left, once that was told. */
  #leftAt: number | undefined;
  seq: number;
  key: number;
  live = false;

  /** @param told seq up to which this stream told of an earlier stay */
  constructor(stream: AccountOwner, { conversation, position, joinedSeq }: Followed, told: number | undefined) {
    this.#stream = stream;
    this.conversation = conversation;
    const acknowledged = position ?? -1;
    if (told !== undefined && told >= acknowledged) {
      this.seq = told;
      this.key = AFTER_CHANGES;
    } else if (position !== null) {
      this.seq = position;
      // What was told with it is told again.
      this.key = 0;
    } else {
      this.seq = joinedSeq - 1;
      this.key = AFTER_CHANGES;
    }
    this.#known = Math.max(acknowledged, told ?? -1);
    if (this.seq >= joinedSeq) this.#stay = Math.max(1, joinedSeq);
  }

  get user(): string {
    return this.#stream.user;
  }
  get device(): string {
    return this.#stream.device;
  }
  get isReady(): boolean {
    return this.#stream.connection.isReady;
  }
  get isBlocked(): boolean {
    return this.#stream.connection.isBlocked;
  }
  get isFull(): boolean {
    return this.#stream.connection.isFull;
  }

  take(item: Item): void {
    this.seq = item.seq;
    this.key = item.key;
    const { change } = item.log;
    // Whoever left without an entry shares its last seq with changes that came after it.
    if (change !== undefined && this.#leftAt === item.seq) return;
    this.#stream.connection.write(item.forAccount);
    if (change?.kind === 'removed' && change.data.users.includes(this.user)) this.#leftAt = item.seq;
  }

  takeWelcome(welcome: AddressedWelcome): void {
    if (welcome.device === '' || welcome.device === this.#stream.device) this.#stream.welcome(welcome);
  }

  enter({ from }: Stay, protocol: 'mls' | 'opaque'): void {
    if (this.#stay === from) return;
    const { conversation } = this;
    // The stay before it was told to its end.
    if (this.#stay !== undefined) this.#write('removed', { seq: Math.max(0, this.seq) });
    this.#stay = from;
    if (from > this.#known)
      this.#stream.connection.write(event('conversation', { conversation, change: 'new', seq: from, protocol }));
  }

  atEnd(lastSeq: number): void {
    if (this.seq >= lastSeq) return;
    this.seq = lastSeq;
    this.key = 0;
  }

  truncated(oldestSeq: number): boolean {
    this.#write('history-truncated', { oldestSeq });
    this.seq = oldestSeq - 1;
    // Changes are kept from here on.
    this.key = 0;
    return true;
  }

  removed(seq: number): void {
    this.#write('removed', { seq });
    this.#stream.drop(this, seq);
  }

  deleted(): void {
    this.#write('conversation', { change: 'deleted' });
    this.#stream.drop(this);
  }

  cut(): void {
    return undefined;
  }

  fallBehind(): void {
    this.#stream.backlog.add(this);
    this.#stream.backlog.advance();
  }

  #write(name: 'removed' | 'history-truncated' | 'conversation', data: Readonly<Record<string, unknown>>): void {
    this.#stream.connection.write(event(name, { conversation: this.conversation, ...data }));
  }
}
