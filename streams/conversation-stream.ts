import type { ServerResponse } from 'node:http';
import type { TicketUse } from '../store/device/stream-tickets.ts';
import { Backlog } from './backlog.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { LogEvent } from './log-event.ts';
import type { StreamHost } from './stream-host.ts';
import type { Subscription } from './subscription.ts';

export interface StreamTarget {
  readonly conversation: string;
  readonly user: string;
  readonly device: string;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
  /** It was opened with this ticket. */
  readonly ticket?: TicketUse;
  /** @default never */
  readonly isCutOff?: () => boolean;
}

/** The stream of one conversation (`/v1/conversations/{id}/events`): its entries, deleted bodies, and an event that says why it ends. */
export class ConversationStream implements Subscription, ConnectionOwner {
  readonly conversation: string;
  readonly user: string;
  readonly isCutOff: () => boolean;
  readonly device = undefined;
  readonly mark = null;
  readonly endsWithMembership = true;
  readonly ticket: TicketUse | undefined;
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
    this.ticket = target.ticket;
    this.isCutOff = target.isCutOff ?? ((): boolean => false);
    this.seq = after;
    this.#host = host;
    this.backlog = new Backlog(host.backlog);
    this.connection = new Connection(response, target.expiresAt, host.retryMs, this);
    host.feeds.add(this);
    this.fallBehind();
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

  deliver(event: LogEvent): void {
    const { item } = event;
    this.seq = item.seq;
    this.key = item.key;
    if (item.type === 'change' && item.change.kind === 'superseded') {
      this.connection.end('reset', { successor: item.change.successor });
    } else {
      this.connection.write(event.forConversation);
    }
  }

  skipDeleted(oldestSeq: number): boolean {
    this.connection.end('history-truncated', { oldestSeq });
    return false;
  }

  removed(seq: number): void {
    this.connection.cut('removed', { seq });
  }

  deleted(): void {
    this.connection.cut('removed');
  }

  /** Its reader does not have everything yet that its user may read. It gets the rest, and `removed`, when it resumes. */
  lostWhileBlocked(): void {
    this.connection.cut('slow-consumer', { after: this.seq });
  }

  endSlow(): void {
    this.connection.end('slow-consumer', { after: this.seq });
  }

  fallBehind(): void {
    this.backlog.add(this);
    this.backlog.advance();
  }

  // This stream is about the log only.
  enterInterval(): void {
    return undefined;
  }
  deliverWelcome(): void {
    return undefined;
  }
  tellRead(): void {
    return undefined;
  }
  reachEnd(): void {
    return undefined;
  }
}
