import { toBase64Url } from '../../client/index.ts';
import type { Session } from './session.ts';
import { setWoken, wokenPeople } from './woken-people.ts';

export type PushState =
  /** The browser or the service offers none. */
  | 'not-offered'
  /** The person has forbidden notifications. */
  | 'denied'
  | 'off'
  | 'on';

const SCRIPT = '/app/service-worker.js';

// What is used of Trusted Types. The types of the DOM do not have them yet.
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL: (url: string) => string },
  ): { createScriptURL(url: string): URL };
}

/** Starts the service worker. It wakes for push messages, and shows a notification for them. */
function startServiceWorker(): Promise<ServiceWorkerRegistration> {
  const { trustedTypes } = globalThis as unknown as { trustedTypes?: TrustedTypes };
  // The content policy lets a page name a script only through this policy.
  policy ??= trustedTypes?.createPolicy('parley', {
    createScriptURL: (url) => {
      if (url !== SCRIPT) throw new TypeError('The page has one service worker');
      return url;
    },
  });
  return navigator.serviceWorker.register(policy?.createScriptURL(SCRIPT) ?? SCRIPT, { scope: '/app/' });
}

let policy: ReturnType<TrustedTypes['createPolicy']> | undefined;

/** Whether this device is woken for new messages. */
export async function pushState({ api }: Session): Promise<PushState> {
  if (!('serviceWorker' in navigator) || !('PushManager' in globalThis)) return 'not-offered';
  const { kinds, vapidPublicKey, target } = await api.push();
  if (!kinds.includes('web-push') || vapidPublicKey === undefined) return 'not-offered';
  if (Notification.permission === 'denied') return 'denied';
  return target === undefined ? 'off' : 'on';
}

/** Asks the person, subscribes the browser, and has this device woken. */
export async function startPush(session: Session): Promise<PushState> {
  if ((await Notification.requestPermission()) !== 'granted') return 'denied';
  return subscribe(session, await pushManagerHere());
}

/** At each start of the page: a subscription may end at any time, and the service may have another key by now. */
export async function renewPush(session: Session): Promise<void> {
  const woken = await wokenPeople();
  const isWoken = woken.some(({ user, device }) => user === session.user && device === session.device);
  if (isWoken && Notification.permission === 'granted') await subscribe(session, await pushManagerHere());
}

/** Registers a device with the subscription that the browser has now, or with a new one. Service workers call it too. */
export async function subscribe(
  { api, user, device }: Pick<Session, 'api' | 'user' | 'device'>,
  pushManager: PushManager,
): Promise<PushState> {
  const { vapidPublicKey } = await api.push();
  if (vapidPublicKey === undefined) return 'not-offered';
  const known = await pushManager.getSubscription();
  const key = known?.options.applicationServerKey ?? null;
  if (known !== null && (key === null || toBase64Url(new Uint8Array(key)) !== vapidPublicKey))
    await known.unsubscribe();
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: vapidPublicKey });
  const { endpoint, keys } = subscription.toJSON();
  const { p256dh, auth } = keys ?? {};
  if (endpoint === undefined || p256dh === undefined || auth === undefined)
    throw new Error('The browser gave a subscription without an address');
  await setWoken({ user, device }, true);
  await api.registerPush({ kind: 'web-push', endpoint, keys: { p256dh, auth } });
  return 'on';
}

/** The opposite. */
export async function stopPush({ api, user, device }: Session): Promise<PushState> {
  await api.unregisterPush();
  await setWoken({ user, device }, false);
  return 'off';
}

async function pushManagerHere(): Promise<PushManager> {
  await startServiceWorker();
  return (await navigator.serviceWorker.ready).pushManager;
}
