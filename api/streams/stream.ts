import type { ServerResponse } from 'node:http';
import type { EntryRow } from '../../store/entries.ts';
import { HEARTBEAT, type StreamEvent, entryEvent, event } from './event.ts';

/** Time for a closing event to reach a slow reader before its connection is cut. */
const CLOSE_GRACE_MS = 2000;

/** Bytes that may wait for one reader; a page of large entries would else stand in memory for each slow one. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

export interface StreamTarget {
  readonly conversation: string;
  readonly user: string;
  /** Milliseconds since 1970: the token's `exp`. */
  readonly expiresAt: number;
}

/** One open event stream: a cursor and a socket. It never skips an entry: it is written in order, or the stream ends. */
export class Stream {
  readonly target: StreamTarget;
  readonly #response: ServerResponse;
  readonly #slowMs: number;
  readonly #onClose: (reason: string) => void;
  readonly #expiry: NodeJS.Timeout;
  #slow: NodeJS.Timeout | undefined;
  #closed = false;
  /** Seq of the last entry written. */
  cursor: number;
  /** Reads pages of its own; a live one is fed with what the process reads once for all. */
  live = false;

  constructor(options: {
    readonly target: StreamTarget;
    readonly response: ServerResponse;
    readonly cursor: number;
    /** A reader that takes nothing for this long is closed. */
    readonly slowMs: number;
    readonly onDrain: (stream: Stream) => void;
    readonly onClose: (reason: string) => void;
  }) {
    this.target = options.target;
    this.cursor = options.cursor;
    this.#response = options.response;
    this.#slowMs = options.slowMs;
    this.#onClose = options.onClose;
    // setTimeout takes 31 bits; a token that lives longer outlives any connection.
    this.#expiry = setTimeout(
      () => this.end('reconnect', {}),
      Math.min(options.target.expiresAt - Date.now(), 2 ** 31 - 1),
    );
    this.#response.on('close', () => this.#close('client'));
    this.#response.on('drain', () => {
      clearTimeout(this.#slow);
      this.#slow = undefined;
      options.onDrain(this);
    });
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that buffer would hold entries back.
      'x-accel-buffering': 'no',
    });
    this.#response.write('retry: 1000\n\n');
  }

  /** False when it is closed, or while the socket's buffer is full: nothing more is written until it drains. */
  canTake(): boolean {
    return !this.#closed && this.#slow === undefined;
  }

  /** So much waits for the reader that no more is to be written until it drains. */
  get isFull(): boolean {
    return this.#response.writableLength >= MAX_BUFFERED_BYTES;
  }

  /** Writes an entry; false = written, but the reader is now behind. @param text the event, if it was made before */
  entry(row: EntryRow, text = entryEvent(row)): boolean {
    if (this.#closed) return false;
    this.cursor = row.seq;
    return this.#write(text);
  }

  heartbeat(): void {
    if (this.canTake()) this.#write(HEARTBEAT);
  }

  /** Ends the stream with an event that says why. */
  end(name: StreamEvent, data: Readonly<Record<string, unknown>>): void {
    if (this.#closed) return;
    this.#close(name);
    this.#response.end(event(name, data));
    // A reader that does not take even this is cut off.
    setTimeout(() => this.#response.destroy(), CLOSE_GRACE_MS).unref();
  }

  #write(text: string): boolean {
    if (this.#response.write(text)) return true;
    this.#slow ??= setTimeout(() => this.end('slow-consumer', { after: this.cursor }), this.#slowMs);
    return false;
  }

  #close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#slow);
    clearTimeout(this.#expiry);
    this.#onClose(reason);
  }
}
