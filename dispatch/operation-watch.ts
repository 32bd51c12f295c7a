import type { LifeOperation } from '../domain/life-event.ts';

type Listener = (operation: LifeOperation) => void;

/**
 * Who wants to see the operations of a conversation, and the way that each took. Nearly always nobody does: then an operation costs
 * one comparison here, and nothing is made for it. So callers ask `isWatched` before they make a fact.
 */
export class OperationWatch {
  readonly #listeners = new Map<string, Set<Listener>>();

  /** @returns ends the watch */
  watch(conversation: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(conversation) ?? new Set();
    this.#listeners.set(conversation, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(conversation) === listeners) {
        this.#listeners.delete(conversation);
      }
    };
  }

  isWatched(conversation: string): boolean {
    return this.#listeners.size > 0 && this.#listeners.has(conversation);
  }

  tell(conversation: string, operation: LifeOperation): void {
    for (const listener of this.#listeners.get(conversation) ?? []) listener(operation);
  }
}
