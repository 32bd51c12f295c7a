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

  /** What a listener throws is reported as the error of an app that it is: it stops neither the chat nor other listeners. */
  tell<K extends keyof ChatEvents>(event: K, what: ChatEvents[K]): void {
    for (const listener of this.#listeners[event]) {
      try {
        listener(what);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** As an error that nobody caught: browsers have a function for it, in Node it is thrown where nobody waits for it. */
function report(error: unknown): void {
  const { reportError } = globalThis as { readonly reportError?: (error: unknown) => void };
  if (reportError !== undefined) reportError(error);
  else
    setTimeout(() => {
      throw error;
    });
}
