import { createECDH, randomUUID } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type PushEndpoint, startPushEndpoint, subscribe } from '../../../tools/harness/push-endpoint.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import { PATIENCE_MS, twoPeople, windowOf } from '../../harness/web-app/window.ts';

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
    await context.addInitScript(`
      // A browser without a screen forbids notifications, whatever the test grants.
      Object.defineProperty(Notification, 'permission', { get: () => 'granted' });
      Notification.requestPermission = () => Promise.resolve('granted');
      PushManager.prototype.getSubscription = () => Promise.resolve(null);
      PushManager.prototype.subscribe = () => Promise.resolve({ toJSON: () => (${JSON.stringify(target)}) });
    `);

    const [alice, bob] = await twoPeople(context, stack().url);
    await turnOnNotifications(bob.page);
    const address = bob.page.url();
    await bob.page.close();

    const [worker] = context.serviceWorkers();
    if (worker === undefined) throw new Error('The web app has no service worker');
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
});

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
