import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';
import { spend, waitUntil } from '../../tools/harness/wait-until.ts';
import type { TestChat } from '../harness/chats.ts';
import { chatOpener, texts, untilShown, untilTexts } from '../harness/chats.ts';
import { hasChromium, useChromium } from '../harness/chromium.ts';
import { useFolder } from '../harness/folder.ts';
import { useService } from '../harness/service.ts';
import type { SharedSite, SiteSession } from '../harness/shared-site.ts';
import { startSharedSite } from '../harness/shared-site.ts';

/** `TAB_KILLS=200 npm run test:edges -- test/edges/shared-tabs.test.ts` kills more. */
const KILLS = Number(process.env.TAB_KILLS ?? 24);
/** A tab is killed at a moment in this time, in which it sends some messages. */
const LIFE_MS = 400;

describe.skipIf(!hasChromium)('in Chromium, the tabs and the service worker of one device', () => {
  const folder = useFolder();
  const cleanup = createCleanup();
  let session: SiteSession = { service: '', token: '', user: '' };
  let site: SharedSite;
  beforeAll(async () => {
    site = await startSharedSite(folder, () => session);
    cleanup.add('site', site.close);
  });
  const service = useService(() => ({
    ...{ apis: 1, workers: 1 },
    env: { CORS_ORIGINS: site.origin, RATE_LIMIT_WRITES: '100000' },
  }));
  const browser = useChromium();
  afterAll(() => cleanup.run());
  const openBob = chatOpener(service);
  let run = 0;

  interface Setting {
    readonly context: BrowserContext;
    readonly bob: TestChat;
    readonly id: string;
    readonly user: string;
  }

  /** A browser of alice, in which a tab is open, and bob's chat; both have a conversation. */
  const begin = async (): Promise<Setting & { readonly tab: Page }> => {
    const user = `alice-${++run}`;
    session = { service: service().apis[0]?.url ?? '', token: await service().token(user), user };
    const context = await browser().newContext();
    await context.grantPermissions(['notifications'], { origin: site.origin });
    const bob = await openBob(`bob-${run}`);
    const tab = await visit(context);
    const device: string = await tab.evaluate('open()');
    const stock = async (): Promise<number> => (await service().clientOf(user, { device }).keyPackageCount()).available;
    await waitUntil(async () => (await stock()) > 0, { what: 'alice can be added' });
    const id = await bob.create({ users: [user] });
    await untilShown(bob, id, ({ members }) => members.length === 2, 'alice is in');
    await waitUntil(async () => (await textsOf(tab, id)) !== undefined, { what: 'the tab has joined' });
    return { context, bob, id, user, tab };
  };
  const visit = async (context: BrowserContext): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(site.origin);
    return page;
  };
  const openTab = async (context: BrowserContext): Promise<Page> => {
    const page = await visit(context);
    await page.evaluate('open()');
    return page;
  };
  const textsOf = (page: Page, id: string): Promise<string[] | undefined> =>
    page.evaluate(
      `chat.history('${id}', { limit: 1000 }).then((all) => all.map(({ text }) => text)).catch(() => undefined)`,
    );
  /** The process of the tab ends at once. */
  const kill = async (page: Page): Promise<void> => {
    const crashed = page.waitForEvent('crash');
    const cdp = await page.context().newCDPSession(page);
    cdp.send('Page.crash').catch(() => undefined);
    await crashed;
    await page.close();
  };

  test('one tab after the other is killed while both write: nothing is lost, nothing comes twice, and the next one takes over', async () => {
    const { context, bob, id, tab } = await begin();
    const [asked, promised]: [string[], string[]] = [[], []];
    const listen = (page: Page): void => {
      page.on('console', (line) => {
        const [what, message = ''] = line.text().split(' ');
        if (what === 'asked') asked.push(message);
        if (what === 'promised') promised.push(message);
      });
    };
    let [leader, follower] = [tab, await openTab(context)];
    [leader, follower].forEach(listen);
    for (let round = 0; round < KILLS; round++) {
      const writes = [leader, follower].flatMap((page, who) =>
        [0, 1, 2].map((n) => page.evaluate(`write('${id}', 'm-${round}-${who}-${n}')`).catch(() => undefined)),
      );
      await spend(Math.random() * LIFE_MS);
      await kill(leader);
      const isLast = round % 4 === 3;
      // Sometimes nobody is left.
      if (isLast) await kill(follower);
      else await Promise.all(writes.slice(3));
      leader = isLast ? await openTab(context) : follower;
      follower = await openTab(context);
      for (const page of isLast ? [leader, follower] : [follower]) listen(page);
    }
    const isThere = async (): Promise<boolean> => {
      const read = await texts(bob, id);
      return promised.every((message) => read.includes(message));
    };
    await waitUntil(isThere, { what: 'bob has all that was promised' });
    const read = await texts(bob, id);
    expect(new Set(read).size).toBe(read.length);
    expect(asked).toEqual(expect.arrayContaining(read));
    expect(promised.length).toBeGreaterThan(KILLS);
    for (const page of [leader, follower]) {
      await waitUntil(async () => (await textsOf(page, id))?.join() === read.join(), { what: 'the tab shows all' });
    }
  });

  test('a service worker reads what a push is about where no tab is open, and leaves it to a tab where one is', async () => {
    const { context, bob, id, user, tab } = await begin();
    await tab.evaluate('register()');
    const cdp = await context.newCDPSession(tab);
    const registered = new Promise<string>((resolve) => {
      cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations: [first] }) => {
        if (first !== undefined) resolve(first.registrationId);
      });
    });
    await cdp.send('ServiceWorker.enable');
    const registrationId = await registered;
    const push = async (page: Page): Promise<void> => {
      const sender = await context.newCDPSession(page);
      await sender.send('ServiceWorker.enable');
      await sender.send('ServiceWorker.deliverPushMessage', { origin: site.origin, registrationId, data: '' });
    };
    const wakes = (page: Page): Promise<string[]> =>
      page.evaluate(`caches.open('wakes').then(async (wakes) =>
        Promise.all((await wakes.keys()).map(async (key) => (await wakes.match(key)).text())))`);

    await bob.send(id, 'with a tab');
    await push(tab);
    await waitUntil(async () => (await wakes(tab)).length === 1, { what: 'the worker was there' });
    expect(await wakes(tab)).toEqual(['left to a tab']);
    await waitUntil(async () => (await textsOf(tab, id))?.join() === 'with a tab', { what: 'the tab has it' });

    // Another page of the site, which has no chat open.
    const other = await visit(context);
    await kill(tab);
    await bob.send(id, 'without a tab');
    await untilTexts([bob], id, ['with a tab', 'without a tab']);
    await push(other);
    await waitUntil(async () => (await wakes(other)).length === 2, { what: 'the worker was there again' });
    expect((await wakes(other))[1]).toBe(`${bob.user}: without a tab`);
    // It had it under the lock, and the tab goes on from there.
    await other.evaluate('open()');
    expect(await textsOf(other, id)).toEqual(['with a tab', 'without a tab']);
    await other.evaluate(`write('${id}', 'here I am')`);
    await untilTexts([bob], id, ['with a tab', 'without a tab', 'here I am']);
    expect((await bob.history(id)).at(-1)?.sender).toBe(user);
  });
});
