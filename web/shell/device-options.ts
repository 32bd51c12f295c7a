import type { SharedChatOptions } from '../../client/index.ts';
import { indexedDbStore } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import type { KnownPerson } from './new-names.ts';

/** Name of a device in this browser: of its database, its lock and its channel. */
export function deviceName({ user, device }: KnownPerson): string {
  return `parley ${JSON.stringify([user, device])}`;
}

/** What the page and the service worker open the chat of a device with. */
export async function deviceOptions(
  { user, device }: KnownPerson,
  token: SharedChatOptions['token'],
): Promise<SharedChatOptions> {
  const name = deviceName({ user, device });
  return { name, user, device, token, url: location.origin, mls: tsMls, store: await indexedDbStore(name) };
}
