import type { ParleyClient } from './parley-client.ts';
import { createMutex } from '../mutex.ts';

/** How long positions are collected before they are told together. */
const BATCH_MS = 250;

/** Tells the service how far this device has come, several conversations at a time. */
export class Acks {
  readonly #api: Pick<ParleyClient, 'ack'>;
  readonly #positions = new Map<string, number>();
  readonly #told = new Map<string, number>();
  readonly #inTurn = createMutex();
  #timer: NodeJS.Timeout | undefined;

  constructor(api: Pick<ParleyClient, 'ack'>) {
    this.#api = api;
  }

  /** Everything up to `seq` is processed and durable. */
  note(conversation: string, seq: number): void {
    if (seq <= (this.#told.get(conversation) ?? 0)) return;
    this.#positions.set(conversation, seq);
    // What is not told comes again: a failure is mended by the next one.
    this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), BATCH_MS).unref();
  }

  /** Tells what was noted; it returns once the service knows. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#inTurn(async () => {
      const batch = [...this.#positions];
      if (batch.length === 0) return;
      this.#positions.clear();
      try {
        await this.#api.ack(Object.fromEntries(batch));
        for (const [conversation, seq] of batch) this.#told.set(conversation, seq);
      } catch (error) {
        for (const [conversation, seq] of batch) {
          if (!this.#positions.has(conversation)) this.#positions.set(conversation, seq);
        }
        throw error;
      }
    });
  }
}
