/** A channel between the tabs of one origin. A message does not come back to the tab that sent it. */
export interface TabChannel {
  /** To all others. @param message plain data */
  send(message: unknown): void;
  /** Calls the listener with what others send. @returns removes it */
  on(listener: (message: unknown) => void): () => void;
  /** Ends the part of this tab. */
  close(): void;
}

/** The BroadcastChannel with this name. */
export function broadcastChannel(name: string): TabChannel {
  const channel = new BroadcastChannel(name);
  return {
    send: (message) => channel.postMessage(message),
    on: (listener) => {
      const heard = (event: { readonly data: unknown }): void => listener(event.data);
      channel.addEventListener('message', heard as never);
      return () => channel.removeEventListener('message', heard as never);
    },
    close: () => channel.close(),
  };
}
