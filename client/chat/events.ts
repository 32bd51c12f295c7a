import type { Chat, ChatEvents } from './chat.ts';

type Listeners = { [K in keyof ChatEvents]: Set<(what: ChatEvents[K]) => void> };

/** Who listens to a chat. */
export class ChatListeners {
  readonly #listeners: Listeners = {
    ...{ state: new Set(), message: new Set(), cancelled: new Set(), log: new Set() },
    ...{ rejoined: new Set(), ended: new Set(), trouble: new Set() },
  };

  readonly on: Chat['on'] = (event, listener) => {
    const listeners = this.#listeners[event];
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };

  tell<K extends keyof ChatEvents>(event: K, what: ChatEvents[K]): void {
    for (const listener of this.#listeners[event]) listener(what);
  }
}
