// The service worker of /app/. A push message wakes it while the page is closed: it reads what is new, under the lock of the tabs, and
// shows it. It keeps no files: the page is always what the API serves.
import { createHttp, ParleyClient, wakeUp } from '../client/index.ts';
import { readConfig, tokenFor } from './control/index.ts';
import { deviceOptions } from './shell/device-options.ts';
import type { KnownPerson } from './shell/new-names.ts';
import { subscribe } from './shell/push.ts';
import { wokenPeople } from './shell/woken-people.ts';
import { addressOf } from './shell/window-identity.ts';

// What is used of a service worker. Its types and those of the page exclude each other.
interface Waiting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Click extends Waiting {
  readonly notification: Notification;
}
interface PageWindow {
  focus(): Promise<unknown>;
  postMessage(message: string, ports: readonly MessagePort[]): void;
}
interface Worker {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: { readonly type: 'window' }): Promise<readonly PageWindow[]>;
    openWindow(url: string): Promise<unknown>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(
    name: 'install' | 'activate' | 'push' | 'pushsubscriptionchange',
    listener: (event: Waiting) => void,
  ): void;
  addEventListener(name: 'notificationclick', listener: (event: Click) => void): void;
}
const worker = globalThis as unknown as Worker;

/** A window that takes longer is asleep, or shows nobody yet. */
const ANSWER_MS = 1_000;

worker.addEventListener('install', (event) => event.waitUntil(worker.skipWaiting()));
worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener('push', (event) => event.waitUntil(showNews()));
worker.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(subscribeAgain()));
worker.addEventListener('notificationclick', (event) => event.waitUntil(openPage(event.notification)));

/** Browsers demand a notification for each push, also when there is nothing to say. */
async function showNews(): Promise<void> {
  const shown = await Promise.all((await wokenPeople()).map((person) => showNewsOf(person).catch(() => false)));
  if (shown.some(Boolean)) return;
  await show('Parley', { body: 'There may be new messages.', tag: 'parley', data: '/app/' });
}

/** @returns whether there was something to show */
async function showNewsOf({ user, device }: KnownPerson): Promise<boolean> {
  const { control } = await readConfig();
  // Tokens are in the memory of the page only. In production an app gives its worker a way of its own to get one.
  if (control === undefined) return false;
  const messages = await wakeUp(await deviceOptions({ user, device }, tokenFor(control, { user, device })));
  for (const { id, conversation, sender, text } of messages ?? []) {
    await show(sender, { body: text, tag: id, data: addressOf({ user, device, conversation }) });
  }
  return (messages?.length ?? 0) > 0;
}

/** The browser has ended its subscription. Without a token here, the page subscribes again when it starts. */
async function subscribeAgain(): Promise<void> {
  const { control } = await readConfig();
  if (control === undefined) return;
  for (const { user, device } of await wokenPeople()) {
    const token = tokenFor(control, { user, device });
    const api = new ParleyClient(createHttp({ baseUrl: location.origin, token, device, attempts: 2 }));
    await subscribe({ api, user, device }, worker.registration.pushManager);
  }
}

const show = (title: string, options: NotificationOptions): Promise<void> =>
  worker.registration.showNotification(title, { icon: '/app/icon.svg', ...options });

/** Shows the conversation in the window of the person whom the notification is for, or opens one. */
async function openPage(notification: Notification): Promise<void> {
  notification.close();
  const address = new URL(String(notification.data ?? '/app/'), location.origin);
  const known = await windowOf(address);
  if (known === undefined) await worker.clients.openWindow(address.href);
  else await known.focus();
}

/**
 * The window that shows an address now, because it is of its person. A worker sees only the address with which a window was opened, such as
 * an invitation, so it asks them all.
 */
async function windowOf(address: URL): Promise<PageWindow | undefined> {
  const windows = await worker.clients.matchAll({ type: 'window' });
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), windows.length === 0 ? 0 : ANSWER_MS);
    for (const one of windows) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => resolve(one);
      one.postMessage(address.href, [port2]);
    }
  });
}
