import { Mutex } from 'async-mutex';
import type { ParleyClient } from './parley-client.ts';

/** Time in which positions are collected, so that one request acknowledges many conversations. */
const BATCH_MS = 250;

/** Acknowledges entries: says to the service up to which entry of each conversation this device has processed the log. */
export class Acknowledgements {
  readonly #api: Pick<ParleyClient, 'ack'>;
  readonly #waiting = new Map<string, number>();
  readonly #acknowledged = new Map<string, number>();
  readonly #mutex = new Mutex();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Pick<ParleyClient, 'ack'>) {
    this.#api = api;
  }

  /** Everything up to `seq` is processed and durable; the service learns it with the next batch. */
  add(conversation: string, seq: number): void {
    if (seq <= (this.#acknowledged.get(conversation) ?? 0)) return;
    this.#waiting.set(conversation, seq);
    // A failed request keeps its positions, and the next request sends them.
    this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), BATCH_MS);
  }

  /** The service was restored, and may know less than it said: sends every position again, the lower ones too. */
  forget(): void {
    this.#acknowledged.clear();
  }

  /** Sends all positions at once; returns when the service has them. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#mutex.runExclusive(async () => {
      const batch = [...this.#waiting];
      if (batch.length === 0) return;
      this.#waiting.clear();
      try {
        await this.#api.ack(Object.fromEntries(batch));
        for (const [conversation, seq] of batch) this.#acknowledged.set(conversation, seq);
      } catch (error) {
        for (const [conversation, seq] of batch) {
          if (!this.#waiting.has(conversation)) this.#waiting.set(conversation, seq);
        }
        throw error;
      }
    });
  }
}
