import { Mutex } from 'async-mutex';
import type { ParleyClient } from './parley-client.ts';

/** Time in which positions are collected, so that one request acknowledges many conversations. */
const BATCH_MS = 250;

/** How far a device has processed and saved a log. */
interface Processed {
  readonly seq: number;
  /** The position as text, where the chain has a value: with it the service notices that its log is another one. */
  readonly where: string | undefined;
}

/** Acknowledges entries: says to the service up to which entry of each conversation this device has processed the log. */
export class Acknowledgements {
  readonly #api: Pick<ParleyClient, 'ack'>;
  readonly #onRestarted: (conversation: string) => void;
  readonly #waiting = new Map<string, Processed>();
  readonly #acknowledged = new Map<string, number>();
  readonly #mutex = new Mutex();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param onRestarted called with each conversation whose log does not go on from the position that was sent */
  constructor(api: Pick<ParleyClient, 'ack'>, onRestarted: (conversation: string) => void) {
    this.#api = api;
    this.#onRestarted = onRestarted;
  }

  /** Everything up to there is processed and durable; 0: the conversation is known. The service learns it with the next batch. */
  add(conversation: string, processed: Processed): void {
    if (processed.seq <= (this.#acknowledged.get(conversation) ?? -1)) return;
    this.#waiting.set(conversation, processed);
    // A failed request keeps its positions, and the next request sends them.
    this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), BATCH_MS);
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
        const positions = batch.map(([conversation, { seq, where = seq }]) => [conversation, where] as const);
        const { restarted } = await this.#api.ack(Object.fromEntries(positions));
        const lost = new Set(Object.keys(restarted));
        for (const [conversation, { seq }] of batch) {
          if (lost.has(conversation)) this.#onRestarted(conversation);
          else this.#acknowledged.set(conversation, seq);
        }
      } catch (error) {
        for (const [conversation, processed] of batch) {
          if (!this.#waiting.has(conversation)) this.#waiting.set(conversation, processed);
        }
        throw error;
      }
    });
  }
}
