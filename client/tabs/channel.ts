import type { TabMessage } from './tab-messages.ts';

/** A channel between the tabs of one origin. A message does not come back to the tab that sent it. */
export interface TabChannel {
  readonly send: (message: TabMessage) => void;
  /** @returns removes the listener */
  readonly on: (listener: (message: TabMessage) => void) => () => void;
  readonly close: () => void;
}

/** The BroadcastChannel with this name. */
export function broadcastChannel(name: string): TabChannel {
  const channel = new BroadcastChannel(name);
  return {
    send: (message) => channel.postMessage(message),
    on: (listener) => {
      const heard = (event: { readonly data: unknown }): void => listener(event.data as TabMessage);
      channel.addEventListener('message', heard as never);
      return () => channel.removeEventListener('message', heard as never);
    },
    close: () => channel.close(),
  };
}
