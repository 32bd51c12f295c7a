import { type CatchUpDeps, catchUp } from './catch-up.ts';
import type { Subscription } from './subscription.ts';

export interface BacklogDeps extends CatchUpDeps {
  /** It has come to the end of the log; what was written since its last read woke only those who were live then. */
  readonly onLive: (subscription: Subscription) => void;
  readonly onError: (error: unknown) => void;
}

/** The subscriptions of one stream that are behind: they catch up one after another, and only while its reader keeps up. */
export class Backlog {
  readonly #deps: BacklogDeps;
  readonly #waiting = new Set<Subscription>();
  #running = false;

  constructor(deps: BacklogDeps) {
    this.#deps = deps;
  }

  add(subscription: Subscription): void {
    subscription.live = false;
    this.#waiting.add(subscription);
  }

  /** Goes on, if there is something to do and nobody does it: after an addition, a drain, or a failed read. */
  advance(): void {
    if (this.#running || this.#waiting.size === 0) return;
    this.#running = true;
    void this.#run();
  }

  clear(): void {
    this.#waiting.clear();
  }

  async #run(): Promise<void> {
    try {
      // Whatever is added meanwhile comes at the end.
      for (const subscription of this.#waiting) {
        const end = await catchUp(subscription, this.#deps);
        if (end === 'blocked') return;
        this.#waiting.delete(subscription);
        if (end === 'ended') continue;
        subscription.live = true;
        this.#deps.onLive(subscription);
      }
    } catch (error) {
      // The database is away: the poll makes it go on.
      this.#deps.onError(error);
    } finally {
      this.#running = false;
    }
  }
}
