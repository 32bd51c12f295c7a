import { Feed, type FeedDeps } from './feed.ts';
import type { Subscription } from './subscription.ts';

/** The feeds of this process: one for each conversation that a stream subscribes to. */
export class Feeds {
  readonly #deps: FeedDeps;
  readonly #feeds = new Map<string, Feed>();

  constructor(deps: FeedDeps) {
    this.#deps = deps;
  }

  add(subscription: Subscription): void {
    const { conversation } = subscription;
    let feed = this.#feeds.get(conversation);
    if (feed === undefined) this.#feeds.set(conversation, (feed = new Feed(conversation, this.#deps)));
    feed.subscriptions.add(subscription);
  }

  delete(subscription: Subscription): void {
    const feed = this.#feeds.get(subscription.conversation);
    feed?.subscriptions.delete(subscription);
    if (feed?.subscriptions.size === 0) this.#feeds.delete(subscription.conversation);
  }

  /** `undefined`: no stream of this process follows the conversation. */
  of(conversation: string): Feed | undefined {
    return this.#feeds.get(conversation);
  }

  wake(conversation: string): void {
    this.#feeds.get(conversation)?.wake();
  }

  /** Streams that follow a conversation. */
  countOf(conversation: string): number {
    return this.#feeds.get(conversation)?.subscriptions.size ?? 0;
  }

  *subscriptions(): Generator<Subscription, void, void> {
    for (const feed of this.#feeds.values()) yield* feed.subscriptions;
  }
}
