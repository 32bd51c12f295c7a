import { signal } from '@preact/signals';
import { isOfTheChat } from './chat-requests.ts';

/** The network of the chat is cut: a button of the right pane does it. The right pane itself still sees the service. */
export const isCut = signal(false);

/** The browser knows that it has no network. A stream that is open notices it only later. */
export const hasNoNetwork = signal(false);

/**
 * Watches the network, and puts a switch into `fetch`: while the network is cut, requests of the chat fail as they fail without a network, and what is open
 * breaks. The client library learns it as it would learn a pulled cable.
 */
export function installNetworkSwitch(): void {
  const look = (): void => void (hasNoNetwork.value = !navigator.onLine);
  look();
  addEventListener('online', look);
  addEventListener('offline', look);
  const connected = globalThis.fetch.bind(globalThis);
  let line = new AbortController();
  isCut.subscribe((cut) => {
    if (cut) line.abort(new TypeError('The network of this window is cut'));
    else line = new AbortController();
  });
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    if (!isOfTheChat(new URL(request.url), location.origin)) return connected(request);
    const { signal: end } = line;
    end.throwIfAborted();
    return connected(request, { signal: AbortSignal.any([request.signal, end]) });
  };
}

/** Lets all tabs of one device have the same network: one of them makes the requests of all. @returns ends it */
export function shareNetwork(device: string): () => void {
  const channel = new BroadcastChannel(`parley-network ${device}`);
  let heard: boolean | undefined;
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data === 'who') channel.postMessage(isCut.peek());
    if (typeof data !== 'boolean') return;
    heard = data;
    isCut.value = data;
  };
  const stop = isCut.subscribe((cut) => {
    if (cut !== (heard ?? false)) channel.postMessage(cut);
    heard = cut;
  });
  channel.postMessage('who');
  return () => {
    stop();
    channel.close();
  };
}
