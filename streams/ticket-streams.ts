import type pg from 'pg';
import { type TicketUse, readReplacedStreams } from '../store/device/stream-tickets.ts';
import type { IncarnationWatch } from '../store/process/incarnation-watch.ts';
import type { Connection } from './connection.ts';

/** Streams of one statement. */
const CHUNK = 2000;

/** A stream that was opened with a ticket. */
export interface TicketStream {
  readonly ticket: TicketUse | undefined;
  readonly connection: Pick<Connection, 'end'>;
}

/**
 * The conversation streams of this process that were opened with tickets. A ticket has one stream: when it is used again, its
 * older stream ends, in this process at once and in the others with the next poll. The same poll ends the streams of tickets
 * that are gone, so that their readers ask for new ones if a restore took them. Account streams need none of it: a device has only
 * one of them.
 */
export class TicketStreams {
  readonly #pool: pg.Pool;
  readonly #incarnation: Pick<IncarnationWatch, 'current' | 'refresh'>;
  /** By ticket: its hash in hex. */
  readonly #open = new Map<string, TicketStream>();
  /** The incarnation in which each was opened. */
  readonly #openedIn = new WeakMap<TicketStream, string | undefined>();

  constructor(deps: { readonly pool: pg.Pool; readonly incarnation: Pick<IncarnationWatch, 'current' | 'refresh'> }) {
    this.#pool = deps.pool;
    this.#incarnation = deps.incarnation;
  }

  /** Adds a stream; the older one of two of the same ticket ends. */
  add(stream: TicketStream): void {
    const { ticket } = stream;
    if (ticket === undefined) return;
    const key = ticket.hash.toString('hex');
    const other = this.#open.get(key);
    if (other?.ticket !== undefined && other.ticket.usedAt > ticket.usedAt) {
      stream.connection.end('replaced');
      return;
    }
    this.#open.set(key, stream);
    this.#openedIn.set(stream, this.#incarnation.current());
    other?.connection.end('replaced');
  }

  delete(stream: TicketStream): void {
    const key = stream.ticket?.hash.toString('hex');
    if (key !== undefined && this.#open.get(key) === stream) this.#open.delete(key);
  }

  /** Ends the stream that a ticket has when it is used again. So the new one finds room among those of its user. */
  endOlder(ticket: TicketUse): void {
    const other = this.#open.get(ticket.hash.toString('hex'));
    if (other?.ticket !== undefined && other.ticket.usedAt < ticket.usedAt) other.connection.end('replaced');
  }

  /** Ends streams whose ticket was used in another process, or is gone. */
  async poll(): Promise<void> {
    const streams = [...this.#open.values()];
    for (let i = 0; i < streams.length; i += CHUNK) await this.#check(streams.slice(i, i + CHUNK));
  }

  async #check(streams: readonly TicketStream[]): Promise<void> {
    const uses = streams.flatMap(({ ticket }) => ticket ?? []);
    const replaced = new Set(await readReplacedStreams(this.#pool, uses));
    if (replaced.size > 0) await this.#incarnation.refresh();
    for (const stream of streams) {
      const { ticket, connection } = stream;
      if (ticket === undefined || !replaced.has(ticket.streamId)) continue;
      const wentBack = this.#openedIn.get(stream) !== this.#incarnation.current();
      connection.end(wentBack ? 'reconnect' : 'replaced');
    }
  }
}
