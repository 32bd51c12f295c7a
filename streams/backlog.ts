import { type CatchUpDeps, catchUp } from './catch-up.ts';
import type { Subscription } from './subscription.ts';

export interface BacklogDeps extends CatchUpDeps {
  /** Checks soon whether a live subscription missed something. */
  readonly checkSoon: (subscription: Subscription) => void;
  readonly onError: (error: unknown) => void;
}

/** The subscriptions of one stream that are behind. They catch up one after another, while the reader keeps up. */
export class Backlog {
  readonly #deps: BacklogDeps;
  readonly #behind = new Set<Subscription>();
  #running = false;

  constructor(deps: BacklogDeps) {
    this.#deps = deps;
  }

  add(subscription: Subscription): void {
    subscription.live = false;
    this.#behind.add(subscription);
  }

  /** Continues, if there is work and no run is active. Call it after `add`, after a drain, and after a failed read. */
  advance(): void {
    if (this.#running || this.#behind.size === 0) return;
    this.#running = true;
    void this.#run();
  }

  clear(): void {
    this.#behind.clear();
  }

  async #run(): Promise<void> {
    try {
      // A Set also visits what is added during the loop.
      for (const subscription of this.#behind) {
        const end = await catchUp(subscription, this.#deps);
        if (end === 'blocked') return;
        this.#behind.delete(subscription);
        if (end === 'ended') continue;
        subscription.live = true;
        // Entries that were written since its last read woke only the subscriptions that were live then.
        this.#deps.checkSoon(subscription);
      }
    } catch (error) {
      // The database does not answer. The poll calls `advance` again.
      this.#deps.onError(error);
    } finally {
      this.#running = false;
    }
  }
}
