import type { ServerResponse } from 'node:http';
import { HEARTBEAT, type StreamEvent, event, retry } from './event.ts';

/** Time for the last event to reach a slow reader. Then its connection is closed. */
const CLOSE_GRACE_MS = 2000;
/** The same for a reader whose user lost the conversation: with at most 1 s of polling it ends within 2 s (invariant 8). */
const CUT_GRACE_MS = 700;

/** Bytes that may wait for one reader. Without a limit, each slow reader could hold a page of large entries in memory. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

const HEARTBEAT_MS = 15_000;

/**
 * Checks come several times a second. Between two that are farther apart, the process stood still: what its readers took meanwhile
 * it has yet to hear.
 */
const LATE_CHECK_MS = 500;

/** A reader whose log was restarted must do more than to connect again. One that does not know that comes back slowly. */
const RESTARTED_RETRY_MS = 60_000;

/** The stream that writes to a connection. */
export interface ConnectionOwner {
  /** The reader has taken everything that was written. */
  readonly onDrain: () => void;
  readonly onClose: (reason: string) => void;
}

/**
 * The HTTP response of one open event stream. It has no timers of its own: the hub calls `check` several times a second
 * for all connections, because thousands of timers would cost more than the streams.
 */
export class Connection {
  readonly #response: ServerResponse;
  readonly #owner: ConnectionOwner;
  readonly #expiresAt: number;
  readonly #retryMs: () => number;
  /** When the next heartbeat is due; by `performance.now()`. */
  #heartbeatAt: number;
  /** When its reader last took any of the waiting bytes, by `performance.now()`. 0 = nothing waits. */
  #blockedAt = 0;
  /** Bytes that waited at the last check. */
  #waitingBytes = 0;
  /** When the last check was, by `performance.now()`. */
  #checkedAt = performance.now();
  isClosed = false;

  /**
   * Writes the head and the first bytes.
   * @param expiresAt milliseconds since 1970: the token's `exp`
   * @param retryMs how long this reader should wait before it comes back; each time another value
   */
  constructor(response: ServerResponse, expiresAt: number, retryMs: () => number, owner: ConnectionOwner) {
    this.#response = response;
    this.#owner = owner;
    this.#expiresAt = expiresAt;
    this.#retryMs = retryMs;
    // Random: streams that opened at the same time do not all get their heartbeat at the same time.
    this.#heartbeatAt = performance.now() + HEARTBEAT_MS * (0.5 + Math.random() / 2);
    response.on('close', () => this.#close('client'));
    response.on('drain', () => {
      this.#blockedAt = 0;
      if (!this.isClosed) owner.onDrain();
    });
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      // `no-transform` tells proxies not to compress, and the other header not to buffer: both would hold entries back.
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    // At once: some proxies and browsers hand out the head only with the first byte of the body.
    response.write(`${retry(retryMs())}\n`);
  }

  /** The reader has not yet taken what was written. Nothing more should be written until it has. */
  get isBlocked(): boolean {
    return this.#blockedAt !== 0;
  }

  /** It is open, and its reader keeps up. */
  get isReady(): boolean {
    return !this.isClosed && this.#blockedAt === 0;
  }

  /** So much waits for the reader that nothing more may be written until it has taken it. */
  get isFull(): boolean {
    return this.#response.writableLength >= MAX_BUFFERED_BYTES;
  }

  /** Writes, also to a blocked reader: the caller checks `isReady` first. */
  write(text: string): void {
    if (this.isClosed || text === '' || this.#response.write(text) || this.#blockedAt !== 0) return;
    this.#blockedAt = performance.now();
    this.#waitingBytes = this.#countWaiting();
  }

  /** Ends the stream. The last event says why. */
  end(name: StreamEvent, data: Readonly<Record<string, unknown>> = {}): void {
    this.#end(name, data, CLOSE_GRACE_MS);
  }

  /** Ends the stream of a user who lost the conversation: like `end`, with less time for a slow reader. */
  cut(name: StreamEvent, data: Readonly<Record<string, unknown>> = {}): void {
    this.#end(name, data, CUT_GRACE_MS);
  }

  /**
   * Sends the heartbeat when it is due, and ends with the token.
   * @param time milliseconds since 1970, by the clock that judges tokens
   * @returns true: its reader took nothing for `slowMs`, in which the process could have heard of it
   */
  check(time: number, slowMs: number): boolean {
    if (time >= this.#expiresAt) this.end('reconnect');
    if (this.isClosed) return false;
    const now = performance.now();
    const stoodStillMs = Math.max(0, now - this.#checkedAt - LATE_CHECK_MS);
    this.#checkedAt = now;
    if (this.#blockedAt !== 0) {
      const waitingBytes = this.#countWaiting();
      // A large event may take longer than `slowMs`: any progress counts.
      const isTaking = waitingBytes < this.#waitingBytes;
      this.#blockedAt = isTaking ? now : Math.min(now, this.#blockedAt + stoodStillMs);
      this.#waitingBytes = waitingBytes;
      return now - this.#blockedAt >= slowMs;
    }
    if (now >= this.#heartbeatAt) {
      this.#heartbeatAt = now + HEARTBEAT_MS;
      this.write(HEARTBEAT);
    }
    return false;
  }

  /**
   * Bytes in the response, and in the socket that the operating system has not taken yet. Only the internal handle of the
   * socket has the second number; without a handle it counts as 0.
   */
  #countWaiting(): number {
    const socket = this.#response.socket as { readonly _handle?: { readonly writeQueueSize?: number } | null } | null;
    return this.#response.writableLength + (socket?._handle?.writeQueueSize ?? 0);
  }

  #end(name: StreamEvent, data: Readonly<Record<string, unknown>>, graceMs: number): void {
    if (this.isClosed) return;
    this.#close(name);
    const hint =
      name === 'reconnect' ? retry(this.#retryMs()) : name === 'log-restarted' ? retry(RESTARTED_RETRY_MS) : '';
    this.#response.end(`${hint}${event(name, data)}`);
    // In case the reader does not take even this.
    setTimeout(() => this.#response.destroy(), graceMs).unref();
  }

  #close(reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#owner.onClose(reason);
  }
}
