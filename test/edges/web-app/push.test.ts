import { createECDH, randomUUID } from 'node:crypto';
import type { BrowserContext, Page, Worker } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type PushEndpoint, startPushEndpoint, subscribe } from '../../../tools/harness/push-endpoint.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import { PATIENCE_MS, startConversation, twoPeople, windowOf } from '../../harness/web-app/window.ts';

// A person whose window is closed is woken: by a real push service on this machine, and by the service worker of the web app. Only the way
// between these two is the browser's own, which Chromium has no service for here: the test carries the message over.

function vapidKey(): string {
  const key = createECDH('prime256v1');
  key.generateKeys();
  return Buffer.from(key.getPrivateKey()).toString('base64url').padStart(43, 'A');
}

describe.skipIf(!hasChromium)('a person whose window is closed', () => {
  let endpoint: PushEndpoint;
  beforeAll(async () => {
    endpoint = await startPushEndpoint();
  });
  afterAll(() => endpoint.close());
  const stack = useWebAppStack({
    PUSH_VAPID_PRIVATE_KEY: vapidKey(),
    PUSH_VAPID_SUBJECT: 'mailto:ops@example.org',
    PUSH_WEB_HOSTS: '127.0.0.1',
    PUSH_NETWORKS: '127.0.0.0/8',
  });
  const browser = useChromium();

  test('is told who wrote what; the push service learns neither; the window that opens later has it once', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const path = `/${randomUUID()}`;
    const { target, decrypt } = subscribe(`${endpoint.url}${path}`);
    await context.addInitScript(subscribedWith(target));
    const [alice, bob] = await twoPeople(context, stack().url);
    await turnOnNotifications(bob.page);
    const address = bob.page.url();
    await bob.page.close();

    const worker = workerOf(context);
    // The notifications of a browser without a screen are seen by nobody.
    await worker.evaluate(`
      globalThis.shown = [];
      registration.showNotification = async (title, { body }) => void shown.push(title + ': ' + body);
    `);
    await alice.say('are you there?');
    const arrived = (): Buffer[] => endpoint.received.filter((one) => one.path === path).map(({ body }) => body);
    await waitUntil(() => arrived().length > 0, { what: 'the service wakes the device', timeoutMs: PATIENCE_MS });
    const [body = Buffer.of()] = arrived();
    expect(decrypt(body)).not.toMatch(/alice|are you there/);

    await deliver(alice.page, decrypt(body));
    const shown = (): Promise<string[]> => worker.evaluate('shown');
    await waitUntil(async () => (await shown()).length > 0, { what: 'a notification', timeoutMs: PATIENCE_MS });
    expect(await shown()).toEqual(['alice: are you there?']);

    const page = await context.newPage();
    await page.goto(address);
    const again = windowOf(page, 'bob');
    await again.hears('are you there?');
    expect(await again.texts()).toEqual(['alice is here', 'bob is here', 'are you there?']);
    await again.say('now I am');
    await alice.hears('now I am');
  });

  test('is woken by the subscription that the browser has now: at the next start, and when the browser tells the worker', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const paths = [1, 2, 3].map(() => `/${randomUUID()}`);
    const [first = '', second = '', third = ''] = paths.map((path) =>
      subscribedWith(subscribe(`${endpoint.url}${path}`).target),
    );
    await context.addInitScript(first);
    const [greta, { page }] = await twoPeople(context, stack().url, ['greta', 'hugo']);
    await turnOnNotifications(page);
    await context.addInitScript(second);
    const registered = page.waitForRequest((one) => one.method() === 'PUT' && one.url().endsWith('/v1/push'));
    await page.reload();
    expect((await registered).postDataJSON()).toMatchObject({ endpoint: `${endpoint.url}${paths[1]}` });

    await workerOf(context).evaluate(third);
    await workerOf(context).evaluate(dispatched('pushsubscriptionchange'));
    await page.close();
    await greta.say('where are you?');
    const woken = (): number => endpoint.received.filter((one) => one.path === paths[2]).length;
    await waitUntil(() => woken() > 0, { what: 'the service wakes the device', timeoutMs: PATIENCE_MS });
  });

  test('sees in the window that is open what a notification was about', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    await context.addInitScript(subscribedWith(subscribe(`${endpoint.url}/${randomUUID()}`).target));
    const [iris, { page }] = await twoPeople(context, stack().url, ['iris', 'jonas']);
    await turnOnNotifications(page);
    await page.keyboard.press('Escape');
    const { pathname, search, hash } = new URL(page.url());
    // It shows another conversation by now.
    await startConversation(page, 'jonas');
    await page.evaluate('globalThis.isSame = true');
    await workerOf(context).evaluate(
      dispatched('notificationclick', `{ notification: { close: () => {}, data: '${pathname}${search}${hash}' } }`),
    );
    await windowOf(page, 'jonas').hears('iris is here');
    expect(new URL(page.url()).hash).toBe(hash);
    // It was not loaded anew.
    expect(await page.evaluate('isSame')).toBe(true);
    await iris.page.close();
  });
});

/** For a page or a worker: what a browser says that has this subscription. */
function subscribedWith(target: ReturnType<typeof subscribe>['target']): string {
  return `
    // A browser without a screen forbids notifications, whatever the test grants.
    Object.defineProperty(Notification, 'permission', { get: () => 'granted', configurable: true });
    Notification.requestPermission = () => Promise.resolve('granted');
    PushManager.prototype.getSubscription = () => Promise.resolve(null);
    PushManager.prototype.subscribe = () => Promise.resolve({ toJSON: () => (${JSON.stringify(target)}) });
  `;
}

/** For a worker: an event that only a browser with a screen and a push service dispatches. It waits for what the worker does. */
function dispatched(name: string, fields = '{}'): string {
  return `(() => {
    let work;
    dispatchEvent(Object.assign(new Event('${name}'), ${fields}, { waitUntil: (what) => (work = what) }));
    // Only a click of a person lets a worker move the focus to another window.
    return work.catch((error) => {
      if (error.name !== 'InvalidAccessError') throw error;
    });
  })()`;
}

function workerOf(context: BrowserContext): Worker {
  const [worker] = context.serviceWorkers();
  if (worker === undefined) throw new Error('The web app has no service worker');
  return worker;
}

async function turnOnNotifications(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Settings' }).click();
  const section = page.getByRole('region', { name: 'Notifications' });
  await section
    .getByRole('button', { name: 'Turn on' })
    .click()
    .catch(async (cause: unknown) => {
      throw new Error(await section.innerText(), { cause });
    });
  await section.getByText('This browser is woken').waitFor();
}

/** What a browser does when its push service has a message for a service worker. */
async function deliver(page: Page, data: string): Promise<void> {
  const cdp = await page.context().newCDPSession(page);
  let registrationId: string | undefined;
  cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations: [first] }) => {
    registrationId ??= first?.registrationId;
  });
  await cdp.send('ServiceWorker.enable');
  await tryUntil(
    async () => {
      if (registrationId === undefined) throw new Error('no registration yet');
      const { origin } = new URL(page.url());
      await cdp.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data });
    },
    { what: 'the push message is handed over' },
  );
}
