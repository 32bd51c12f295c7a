import type { ServerResponse } from 'node:http';
import type { Position } from '../domain/position.ts';
import type { TicketUse } from '../store/device/stream-tickets.ts';
import { Backlog } from './backlog.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { LogEvent } from './log-event.ts';
import type { SignalBatch } from './signal-batch.ts';
import type { StreamHost } from './stream-host.ts';
import type { LogEnds, Subscription } from './subscription.ts';

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
  readonly readMark = null;
  readonly endsWithMembership = true;
  readonly ticket: TicketUse | undefined;
  openedIn: string | undefined;
  readonly connection: Connection;
  readonly backlog: Backlog;
  readonly #host: StreamHost;
  seq: number;
  mark: string | undefined;
  key = 0;
  live = false;

  /** @param after the last entry that its reader has */
  constructor(host: StreamHost, response: ServerResponse, target: StreamTarget, after: Position) {
    this.conversation = target.conversation;
    this.user = target.user;
    this.ticket = target.ticket;
    this.isCutOff = target.isCutOff ?? ((): boolean => false);
    this.seq = after.seq;
    this.mark = after.mark;
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
    if (item.type === 'entry' || item.seq !== this.seq) this.mark = event.mark;
    this.seq = item.seq;
    this.key = item.key;
    if (item.type === 'change' && item.change.kind === 'superseded') {
      this.connection.end('reset', { successor: item.change.successor });
    } else {
      this.connection.write(event.forConversation);
    }
  }

  deliverSignals(signals: SignalBatch): void {
    this.connection.write(signals.forConversation);
  }

  skipDeleted(oldestSeq: number): boolean {
    this.connection.end('history-truncated', { oldestSeq });
    return false;
  }

  removed(seq: number): void {
    this.connection.cut('removed', { seq });
  }

  restarted(ends: LogEnds): void {
    this.connection.end('log-restarted', { ...ends });
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

  reachEnd({ seq, mark }: Position): void {
    if (seq === this.seq) this.mark = mark;
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
}
