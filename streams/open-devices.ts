import type pg from 'pg';
import type { DeviceName } from '../store/key-package/key-packages.ts';
import { type StreamOfDevice, recordStreams } from '../store/push/open-streams.ts';

/** Streams that open or close within this time share a statement. */
const GATHER_MS = 100;
const CHUNK = 1000;

/**
 * Tells the dispatcher of wake-ups, by Postgres, which devices have an open stream. What is lost only makes a wake-up come earlier
 * or later.
 */
export class OpenDevices {
  readonly #pool: pg.Pool;
  readonly #onError: (error: unknown) => void;
  readonly #open = new Map<string, StreamOfDevice>();
  #opened = new Map<string, StreamOfDevice>();
  #closed: StreamOfDevice[] = [];
  #isWaiting = false;

  constructor(pool: pg.Pool, onError: (error: unknown) => void) {
    this.#pool = pool;
    this.#onError = onError;
  }

  /** A device opened a stream. @param id UUID of the stream */
  opened({ user, device }: DeviceName, id: string): void {
    const stream = { user, device, id };
    this.#open.set(id, stream);
    this.#opened.set(JSON.stringify([user, device]), stream);
    this.#soon();
  }

  closed(id: string): void {
    const stream = this.#open.get(id);
    if (stream === undefined) return;
    this.#open.delete(id);
    const key = JSON.stringify([stream.user, stream.device]);
    if (this.#opened.get(key)?.id === id) this.#opened.delete(key);
    this.#closed.push(stream);
    this.#soon();
  }

  #soon(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    setTimeout(() => {
      void this.#record()
        .catch(this.#onError)
        .finally(() => {
          this.#isWaiting = false;
          if (this.#opened.size + this.#closed.length > 0) this.#soon();
        });
    }, GATHER_MS).unref();
  }

  async #record(): Promise<void> {
    const [opened, closed] = [[...this.#opened.values()], this.#closed];
    this.#opened = new Map();
    this.#closed = [];
    for (let i = 0; i < closed.length; i += CHUNK) await recordStreams(this.#pool, [], closed.slice(i, i + CHUNK));
    for (let i = 0; i < opened.length; i += CHUNK) await recordStreams(this.#pool, opened.slice(i, i + CHUNK), []);
  }
}
