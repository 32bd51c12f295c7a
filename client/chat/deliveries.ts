import { pause } from '../api/http.ts';
import type { MlsGroup } from '../group/group.ts';
import { ForeignSuccessorError } from '../group/group.ts';

export interface DeliveryOptions {
  /** The group that replaced this one, if this device has it. */
  readonly successorOf: (group: MlsGroup) => MlsGroup | undefined;
  /** Without a connection a try is of no use: the next connection begins anew. */
  readonly isOnline: () => boolean;
  readonly onError: (error: unknown, conversation: string) => void;
  /** Called with each message that waits in the successor from now on. */
  readonly onHandedOver: (id: string, conversation: string) => void;
  /** Called when nothing waits, or what waits has to wait longer. */
  readonly onEnd: () => void;
  /** Of the life that the chat has now. */
  readonly signal: () => AbortSignal;
}

/** Sends what waits in the outboxes of groups, in the background: each group in its order, one try at a time. */
export class Deliveries {
  readonly #options: DeliveryOptions;
  readonly #running = new Map<MlsGroup, Promise<void>>();
  /** Groups in which something came while their delivery ran. It may have been on its way out. */
  readonly #again = new Set<MlsGroup>();
  /** Groups whose successor has members that the group does not have. */
  readonly #withheld = new WeakSet<MlsGroup>();

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Sends what waits in this group, now or after what is being sent. */
  begin(group: MlsGroup): void {
    if (this.#options.signal().aborted) return;
    if (this.#running.has(group)) {
      this.#again.add(group);
      return;
    }
    const delivery = this.#run(group).finally(() => {
      this.#running.delete(group);
      this.#options.onEnd();
      if (this.#again.delete(group)) this.begin(group);
    });
    this.#running.set(group, delivery);
  }

  /** Resolves when nothing is being sent any more. Abort the signal before. */
  async end(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  async #run(group: MlsGroup): Promise<void> {
    const { isOnline, onError } = this.#options;
    const signal = this.#options.signal();
    for (let attempt = 1; !signal.aborted; attempt++) {
      this.#again.delete(group);
      try {
        await this.#sendAll(group);
        return;
      } catch (error) {
        // The successor has what waits as soon as this device has the successor.
        if (group.successor !== undefined && this.#options.successorOf(group) === undefined) return;
        const isForeign = error instanceof ForeignSuccessorError;
        if (!isForeign || !this.#withheld.has(group)) onError(error, group.id);
        if (isForeign) this.#withheld.add(group);
        if (isForeign || !isOnline()) return;
        await pause(attempt, error, signal).catch(() => undefined);
      }
    }
  }

  async #sendAll(group: MlsGroup): Promise<void> {
    const next = this.#options.successorOf(group);
    if (next !== undefined) {
      for (const id of await group.handOver(next)) this.#options.onHandedOver(id, group.id);
      this.begin(next);
      return;
    }
    if (group.successor === undefined && !group.isRemoved) await group.deliver();
  }
}
