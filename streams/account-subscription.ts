import type { Position } from '../domain/position.ts';
import type { AddressedWelcome } from '../store/device/device-streams.ts';
import type { FollowedConversation } from '../store/device/positions.ts';
import type { ReadState } from '../store/log/unread.ts';
import type { Welcome } from '../store/welcome/welcomes.ts';
import type { Backlog } from './backlog.ts';
import type { Connection } from './connection.ts';
import { event } from './event.ts';
import type { LogEvent } from './log-event.ts';
import type { SignalBatch } from './signal-batch.ts';
import type { LogEnds, Subscription } from './subscription.ts';

/** As the key of a cursor: after all changes of its seq. */
const AFTER_CHANGES = Number.MAX_SAFE_INTEGER;

/** The account stream of a subscription. */
export interface AccountOwner {
  readonly user: string;
  readonly device: string;
  readonly connection: Connection;
  readonly backlog: Backlog;
  /** Delivers a Welcome, unless the stream delivered it before. */
  readonly deliverWelcome: (welcome: Welcome) => void;
  /** @param deliveredSeq set when the user is a former member: seq up to which everything was delivered */
  readonly unfollow: (subscription: AccountSubscription, deliveredSeq?: number) => void;
}

/** One conversation on the account stream of a device. */
export class AccountSubscription implements Subscription {
  readonly conversation: string;
  readonly endsWithMembership = false;
  readonly #stream: AccountOwner;
  /** The device knows of membership intervals that began at or before this seq. */
  readonly #knownSeq: number;
  /** First entry of the membership interval that the cursor is in. */
  #intervalStart: number | undefined;
  /** Where its user left, once that is delivered. */
  #leftSeq: number | undefined;
  seq: number;
  mark: string | undefined;
  key: number;
  live = false;
  readMark: string;

  /** @param deliveredSeq set when this stream followed the conversation before: seq up to which it delivered everything */
  constructor(
    stream: AccountOwner,
    { conversation, position, mark, readMark, joinedSeq, changeKey }: FollowedConversation,
    deliveredSeq: number | undefined,
  ) {
    this.#stream = stream;
    this.conversation = conversation;
    this.readMark = readMark;
    const acknowledged = position ?? -1;
    if (deliveredSeq !== undefined && deliveredSeq >= acknowledged) {
      this.seq = deliveredSeq;
      this.key = AFTER_CHANGES;
    } else if (position !== null) {
      this.seq = position;
      this.mark = mark;
      // A device acknowledges entries only. So the changes of the acknowledged entry are delivered again, if they are few.
      this.key = changeKey;
    } else {
      this.seq = joinedSeq - 1;
      this.key = AFTER_CHANGES;
    }
    this.#knownSeq = Math.max(acknowledged, deliveredSeq ?? -1);
    if (this.seq >= joinedSeq) this.#intervalStart = Math.max(1, joinedSeq);
  }

  /**
   * Delivers one event in place of many changes at the position, which would come again at each start. A former member hears that it
   * left; what else changed there is none of its business.
   */
  begin({ hasManyChanges, leftSeq, successor }: FollowedConversation): void {
    const { conversation, seq } = this;
    if (!hasManyChanges || leftSeq !== null || this.key === AFTER_CHANGES) return;
    this.#stream.connection.write(event('conversation', { conversation, change: 'several', seq }));
    if (successor !== null) this.#stream.connection.write(event('reset', { conversation, successor }));
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

  deliver(event: LogEvent): void {
    const { item } = event;
    if (item.type === 'entry' || item.seq !== this.seq) this.mark = event.mark;
    this.seq = item.seq;
    this.key = item.key;
    if (item.type === 'change') {
      // A user who leaves without an entry leaves at the last seq. Later changes can have the same seq: not for this user.
      if (this.#leftSeq === item.seq) return;
      if (event.removes(this.user)) this.#leftSeq = item.seq;
    }
    this.#stream.connection.write(event.forAccount);
  }

  deliverWelcome(welcome: AddressedWelcome): void {
    if (welcome.device === '' || welcome.device === this.#stream.device) this.#stream.deliverWelcome(welcome);
  }

  tellRead({ readMark, seq, unread }: ReadState): void {
    this.readMark = readMark;
    this.#write('read', { seq, unread });
  }

  deliverSignals(signals: SignalBatch): void {
    this.#stream.connection.write(signals.forAccount);
  }

  enterInterval(startSeq: number, protocol: 'mls' | 'opaque'): void {
    if (this.#intervalStart === startSeq) return;
    const { conversation } = this;
    // The interval before it was delivered to its end.
    if (this.#intervalStart !== undefined) this.#write('removed', { seq: Math.max(0, this.seq) });
    this.#intervalStart = startSeq;
    if (startSeq > this.#knownSeq) {
      this.#stream.connection.write(event('conversation', { conversation, change: 'new', seq: startSeq, protocol }));
    }
  }

  reachEnd({ seq, mark }: Position): void {
    if (this.seq < seq) this.key = 0;
    this.seq = seq;
    this.mark = mark;
  }

  skipDeleted(oldestSeq: number): boolean {
    this.#write('history-truncated', { oldestSeq });
    this.seq = oldestSeq - 1;
    this.mark = undefined;
    // Retention keeps the changes of this seq: deliver them.
    this.key = 0;
    return true;
  }

  removed(seq: number): void {
    this.#write('removed', { seq });
    this.#stream.unfollow(this, seq);
  }

  /** The conversation leaves the stream, which stays open for the others. */
  restarted(ends: LogEnds): void {
    this.#write('log-restarted', { ...ends });
    this.#stream.unfollow(this);
  }

  deleted(): void {
    this.#write('conversation', { change: 'deleted' });
    this.#stream.unfollow(this);
  }

  /** The stream stays open for the other conversations. */
  lostWhileBlocked(): void {
    return undefined;
  }

  fallBehind(): void {
    this.#stream.backlog.add(this);
    this.#stream.backlog.advance();
  }

  #write(
    name: 'removed' | 'history-truncated' | 'log-restarted' | 'conversation' | 'read',
    data: Readonly<Record<string, unknown>>,
  ): void {
    this.#stream.connection.write(event(name, { conversation: this.conversation, ...data }));
  }
}
