import type { ServerResponse } from 'node:http';
import { Backlog } from './backlog.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Item } from './stream-item.ts';
import type { StreamHost } from './stream-host.ts';
import type { Subscription } from './subscription.ts';

export interface StreamTarget {
  readonly conversation: string;
  readonly user: string;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
}

/** The stream of one conversation: its entries, and what ends it. */
export class ConversationStream implements Subscription, ConnectionOwner {
  readonly conversation: string;
  readonly user: string;
  readonly device = undefined;
  readonly endsWithMembership = true;
  readonly connection: Connection;
  readonly backlog: Backlog;
  readonly #host: StreamHost;
  seq: number;
  key = 0;
  live = false;

  /** @param after seq of the last entry that its reader has */
  constructor(host: StreamHost, response: ServerResponse, target: StreamTarget, after: number) {
    this.conversation = target.conversation;
    this.user = target.user;
    this.seq = after;
    this.#host = host;
    this.backlog = new Backlog(host.backlog);
    this.connection = new Connection(response, target.expiresAt, this);
    host.feeds.add(this);
    this.backlog.add(this);
    this.backlog.advance();
  }

  get isReady(): boolean {
    return this.connection.isReady;
  }
  get isBlocked(): boolean {
    return this.connection.isBlocked && !this.connection.isClosed;
  }
  get isFull(): boolean {
    return this.connection.isFull;
  }

  onDrain(): void {
    this.backlog.advance();
  }

  onClose(reason: string): void {
    this.backlog.clear();
    this.#host.feeds.delete(this);
    this.#host.onClosed(this, reason);
  }

  take(item: Item): void {
    this.seq = item.seq;
    this.key = item.key;
    const { change } = item.log;
    if (change === undefined) this.connection.write(item.forConversation);
    else if (change.kind === 'superseded') this.connection.end('reset', { successor: change.data.successor });
  }

  truncated(oldestSeq: number): boolean {
    this.connection.end('history-truncated', { oldestSeq });
    return false;
  }

  removed(seq: number): void {
    this.connection.cut('removed', { seq });
  }

  deleted(): void {
    this.connection.cut('removed');
  }

  /** Its reader has yet to get what it may read: it does when it comes back, and `removed` with it. */
  cut(): void {
    this.connection.cut('slow-consumer', { after: this.seq });
  }

  slow(): void {
    this.connection.end('slow-consumer', { after: this.seq });
  }

  fallBehind(): void {
    this.backlog.add(this);
    this.backlog.advance();
  }

  /** Its entries say enough. */
  enter(): void {
    return undefined;
  }
  takeWelcome(): void {
    return undefined;
  }
  atEnd(): void {
    return undefined;
  }
}
