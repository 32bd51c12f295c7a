import { createHttp } from '../api/http.ts';
import { ParleyClient } from '../api/parley-client.ts';
import type { DeviceOptions } from '../device/device.ts';
import { MlsDevice } from '../device/device.ts';
import { newId } from '../platform/bytes.ts';
import type { DeviceStore } from '../storage/device-store.ts';
import type { Chat } from './chat.ts';
import { ChatStore } from './chat-store.ts';
import { ChatListeners } from './events.ts';
import type { LocalChatParts } from './local-chat.ts';
import { LocalChat } from './local-chat.ts';
import { outgoing, received } from './projection.ts';

const DEVICE_KEY = 'chat/device';

/** Who chats, with which service, and where the device is kept. */
export interface ChatOptions extends Pick<
  DeviceOptions,
  'mls' | 'authentication' | 'cipherSuite' | 'externalSender' | 'keyPackages' | 'publicCommits'
> {
  /** Address of the service. A function is asked before every try. */
  readonly url: string | (() => string);
  /** Token of the user, from the app's own sign-in. It is asked before every try, so that it may renew an expired one. */
  readonly token: () => string | Promise<string>;
  /** The user id in the token. */
  readonly user: string;
  /** The device id in the token, if it names one. @default an id that is made once and kept in the store */
  readonly device?: string;
  readonly store: DeviceStore;
}

/**
 * Opens a chat: the device in the store, or a new one. Needs no network: what is written before there is one waits.
 * @throws Error if the store belongs to another device
 */
export async function openChat(options: ChatOptions): Promise<Chat> {
  const listeners = new ChatListeners();
  const store = new ChatStore(options.store);
  const chat = new LocalChat({ ...(await openDevice({ ...options, store }, listeners)), store, listeners });
  await chat.begin();
  return chat;
}

/** The device of a chat, which asks the service for nothing so far. */
export async function openDevice(
  options: ChatOptions,
  listeners: ChatListeners,
): Promise<Pick<LocalChatParts, 'api' | 'device'>> {
  const { url, token, user, store, ...rest } = options;
  const id = options.device ?? (await deviceOf(store));
  const api = new ParleyClient(createHttp({ baseUrl: url, token, device: id }));
  const device = await MlsDevice.open({
    ...rest,
    ...{ api, user, device: id, store, isOffline: true },
    onRejoin: (group, { kind }) => listeners.tell('rejoined', { conversation: group.id, reason: kind }),
    onLogEvent: (group, event) => listeners.tell('log', { conversation: group.id, event }),
    onOutgoing: (group, message) => listeners.tell('message', outgoing(group, message)),
    onDeleted: (group, message) => listeners.tell('message', received(group, message)),
  });
  return { api, device };
}

async function deviceOf(store: DeviceStore): Promise<string> {
  const known = await store.get(DEVICE_KEY);
  if (known !== undefined) return known;
  const made = newId();
  await store.write([[DEVICE_KEY, made]]);
  return made;
}
