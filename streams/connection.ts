import type { ServerResponse } from 'node:http';
import { HEARTBEAT, type StreamEvent, event } from './event.ts';

/** Time for a closing event to reach a slow reader before its connection is cut. */
const CLOSE_GRACE_MS = 2000;
/** Of a reader that has lost what it reads: after at most a second of polling it is closed within 2 s (invariant 8). */
const CUT_GRACE_MS = 700;

/** Bytes that may wait for one reader; a page of large entries would else stand in memory for each slow one. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

const HEARTBEAT_MS = 15_000;

/** What writes to a connection, and hears of it. */
export interface ConnectionOwner {
  /** The reader has taken everything. */
  readonly onDrain: () => void;
  readonly onClose: (reason: string) => void;
}

/**
 * The socket of one open event stream. It has no timers of its own: `check` is called several times a second for all of
 * them, because thousands of timers would cost more than the streams.
 */
export class Connection {
  readonly #response: ServerResponse;
  readonly #owner: ConnectionOwner;
  readonly #expiresAt: number;
  #beatAt: number;
  /** When its reader last took anything of what waits for it; 0 = nothing waits. */
  #blockedAt = 0;
  /** Bytes that waited at the last check. */
  #waited = 0;
  isClosed = false;

  /** Writes the head. @param expiresAt milliseconds since 1970: the token's `exp` */
  constructor(response: ServerResponse, expiresAt: number, owner: ConnectionOwner) {
    this.#response = response;
    this.#owner = owner;
    this.#expiresAt = expiresAt;
    // So that the heartbeats of many that opened together spread out.
    this.#beatAt = Date.now() + HEARTBEAT_MS * (0.5 + Math.random() / 2);
    response.on('close', () => this.#close('client'));
    response.on('drain', () => {
      this.#blockedAt = 0;
      if (!this.isClosed) owner.onDrain();
    });
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that buffer would hold entries back.
      'x-accel-buffering': 'no',
    });
    response.write('retry: 1000\n\n');
  }

  /** The reader has yet to take what was written: nothing more comes until then. */
  get isBlocked(): boolean {
    return this.#blockedAt !== 0;
  }

  /** It is open, and its reader keeps up. */
  get isReady(): boolean {
    return !this.isClosed && this.#blockedAt === 0;
  }

  /** So much waits for the reader that no more is to be written until it has taken it. */
  get isFull(): boolean {
    return this.#response.writableLength >= MAX_BUFFERED_BYTES;
  }

  /** Text is taken even from a reader that does not keep up; whoever writes looks at `isReady` first. */
  write(text: string): void {
    if (this.isClosed || text === '' || this.#response.write(text) || this.#blockedAt !== 0) return;
    this.#blockedAt = Date.now();
    this.#waited = this.#waiting();
  }

  /** Ends the stream with an event that says why. */
  end(name: StreamEvent, data: Readonly<Record<string, unknown>> = {}): void {
    this.#end(name, data, CLOSE_GRACE_MS);
  }

  /** Ends it for a reader that may no longer be waited for. */
  cut(name: StreamEvent, data: Readonly<Record<string, unknown>> = {}): void {
    this.#end(name, data, CUT_GRACE_MS);
  }

  /** Heartbeat, and the end of its token. @returns true when its reader has taken nothing for `slowMs` */
  check(now: number, slowMs: number): boolean {
    if (now >= this.#expiresAt) this.end('reconnect');
    if (this.isClosed) return false;
    if (this.#blockedAt !== 0) {
      const waiting = this.#waiting();
      // A large event takes a slow line longer than that.
      if (waiting < this.#waited) this.#blockedAt = now;
      this.#waited = waiting;
      return now - this.#blockedAt >= slowMs;
    }
    if (now >= this.#beatAt) {
      this.#beatAt = now + HEARTBEAT_MS;
      this.write(HEARTBEAT);
    }
    return false;
  }

  /** What the socket was given counts as long as its system has not taken it, which Node tells of its handle only. */
  #waiting(): number {
    const socket = this.#response.socket as { readonly _handle?: { readonly writeQueueSize?: number } | null } | null;
    return this.#response.writableLength + (socket?._handle?.writeQueueSize ?? 0);
  }

  #end(name: StreamEvent, data: Readonly<Record<string, unknown>>, graceMs: number): void {
    if (this.isClosed) return;
    this.#close(name);
    this.#response.end(event(name, data));
    // A reader that does not take even this is cut off.
    setTimeout(() => this.#response.destroy(), graceMs).unref();
  }

  #close(reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#owner.onClose(reason);
  }
}
