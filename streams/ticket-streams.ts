import type pg from 'pg';
import { type TicketUse, readReplacedStreams } from '../store/device/stream-tickets.ts';
import type { IncarnationWatch } from '../store/process/incarnation-watch.ts';
import { type RecordedStream, endUnknown } from './unknown-streams.ts';

/** Streams of one statement. */
const CHUNK = 2000;

/** A stream that was opened with a ticket. */
export interface TicketStream extends RecordedStream {
  readonly ticket: TicketUse | undefined;
  openedIn: string | undefined;
}

/**
 * The conversation streams of this process that were opened with tickets. A ticket has one stream: when it is used again, its
 * older stream ends, in this process at once and in the others with the next poll. The same poll ends the streams of tickets
 * that are gone. Account streams need none of it: a device has only one of them.
 */
export class TicketStreams {
  readonly #pool: pg.Pool;
  readonly #incarnation: Pick<IncarnationWatch, 'current' | 'refresh'>;
  /** By ticket: its hash in hex. */
  readonly #open = new Map<string, TicketStream>();

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
    stream.openedIn = this.#incarnation.current();
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
    await endUnknown(
      this.#incarnation,
      streams.filter(({ ticket }) => ticket !== undefined && replaced.has(ticket.streamId)),
    );
  }
}
