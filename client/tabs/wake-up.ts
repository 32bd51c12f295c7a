import type { ChatMessage } from '../chat/chat.ts';
import { ChatStore } from '../chat/chat-store.ts';
import { ChatListeners } from '../chat/events.ts';
import { openDevice } from '../chat/open-chat.ts';
import { received } from '../chat/projection.ts';
import type { SharedChatOptions } from './shared-chat.ts';
import { webLocks } from './locks.ts';

/**
 * What a service worker does when a push comes: it reads what is new, sends what waits, and tells the app what to notify of. It has the
 * device for this time under the same lock as the tabs.
 * @returns new messages of others, in the order of each log; `undefined`: a tab has the device, and shows them itself
 * @throws Error if nothing could be read, since the service is out of reach, say
 * @example
 * self.addEventListener('push', (event) => event.waitUntil((async () => {
 *   const store = await indexedDbStore('alice');
 *   for (const { sender, text } of (await wakeUp({ ...options, store })) ?? []) await self.registration.showNotification(sender, { body: text });
 * })()));
 */
export async function wakeUp(options: SharedChatOptions): Promise<readonly ChatMessage[] | undefined> {
  const { name, locks = webLocks() } = options;
  const store = new ChatStore(options.store);
  let messages: readonly ChatMessage[] | undefined;
  try {
    await locks.tryHold(name, async () => {
      messages = await readNew({ ...options, store });
    });
  } finally {
    await store.close();
  }
  return messages;
}

async function readNew(options: SharedChatOptions): Promise<readonly ChatMessage[]> {
  // A device that has logged out stays so.
  if ((await options.store.keys('')).length === 0) return [];
  const { device } = await openDevice(options, new ChatListeners());
  const messages: ChatMessage[] = [];
  device.onMessage((group, message) => {
    if (message.sender !== device.user) messages.push(received(group, message));
  });
  await device.begin().catch(() => undefined);
  try {
    await device.sync();
  } catch (error) {
    // One group that cannot be read hides the messages of no other.
    if (messages.length === 0) throw error;
  }
  for (const group of device.groups.values()) {
    // What is not sent now waits for the next time.
    if (!group.isRemoved && group.successor === undefined) await group.deliver().catch(() => undefined);
  }
  return messages;
}
