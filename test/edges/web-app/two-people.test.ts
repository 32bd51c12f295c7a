import type { Browser, BrowserContext, Page, Request } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import {
  type AppWindow,
  PATIENCE_MS,
  signIn,
  twoPeople,
  untilNothingIsMissing,
  windowOf,
} from '../../harness/web-app/window.ts';

// The web app as two people use it, with the windows, tabs and networks that people have.

describe.skipIf(!hasChromium)('two people in the web app', () => {
  const stack = useWebAppStack();
  const browser = useChromium();
  const open = async (options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> => {
    const context = await browser().newContext(options);
    onTestFinished(() => context.close());
    return context;
  };

  test('a name, an invitation link, and messages both ways; the second person has another name', async () => {
    const context = await open();
    const [alice, bob] = await twoPeople(context, stack().url);
    expect(await alice.texts()).toEqual(['alice is here', 'bob is here']);
    // The link asks for another name than those of this browser.
    const sheet = await alice.openSheet();
    const link = await sheet.getByRole('textbox', { name: 'Invitation link' }).inputValue();
    await alice.closeSheet();
    const again = await context.newPage();
    await again.goto(link);
    await again.getByLabel('Your name').fill('alice');
    await again.getByRole('button', { name: 'Join' }).click();
    await again.getByText('is in this browser already').waitFor();
    // Whoever is written to sees it in the list, and in the title of the page.
    const notes = await signIn(context, stack().url, 'carol');
    await alice.page.getByRole('button', { name: 'New conversation' }).first().click();
    const dialog = alice.page.getByRole('dialog');
    await dialog.getByRole('textbox').first().fill('carol');
    await dialog.getByRole('button', { name: 'Create' }).click();
    await alice.page.getByRole('heading', { name: 'carol' }).waitFor();
    await alice.say('only for carol');
    await notes.getByText('only for carol').waitFor();
    await waitUntil(async () => (await notes.title()).startsWith('(1) carol'), { what: 'the title counts it' });
    expect(await bob.page.getByText('only for carol').count()).toBe(0);
  });

  test('typing is seen, a message that is deleted is gone for both, and who is removed reads nothing more', async () => {
    const [alice, bob] = await twoPeople(await open(), stack().url);
    // It is said once in some seconds: a person types for longer than this test would.
    await tryUntil(
      async () => {
        await alice.page.getByRole('textbox', { name: 'Message', exact: true }).press('h');
        await bob.page.locator('.thread .typing', { hasText: 'alice is typing' }).waitFor({ timeout: 500 });
      },
      { what: 'typing is seen' },
    );
    await alice.say('a secret');
    await bob.hears('a secret');
    const row = alice.page.getByRole('log').getByRole('listitem').filter({ hasText: 'a secret' });
    await row.getByRole('button', { name: 'What to do with the message' }).click();
    await alice.page.getByRole('button', { name: 'Delete for everybody' }).first().click();
    const dialog = alice.page.getByRole('dialog', { name: 'Delete this message?' });
    await dialog.getByRole('button', { name: 'Delete for everybody' }).click();
    await dialog.getByRole('button', { name: 'Really delete' }).click();
    for (const { page } of [alice, bob]) await page.getByRole('log').getByText('Deleted for everybody').waitFor();
    expect(await bob.page.getByText('a secret').count()).toBe(0);

    const sheet = await alice.openSheet();
    await sheet.getByRole('button', { name: 'Remove: bob' }).click();
    await sheet.getByRole('button', { name: 'Really remove: bob' }).click();
    await sheet.getByRole('list', { name: 'Devices of bob' }).waitFor({ state: 'detached' });
    await alice.closeSheet();
    await bob.page.getByRole('textbox', { name: 'Message', exact: true }).waitFor({ state: 'detached' });
    await alice.say('without bob');
    expect(await bob.page.getByText('without bob').count()).toBe(0);
  });

  test('two that add somebody at the same time: both do, and all four read each other', async () => {
    const context = await open();
    const [alice, bob] = await twoPeople(context, stack().url, ['amal', 'boris']);
    const [carol, dave] = await Promise.all([
      signIn(context, stack().url, 'chloe'),
      signIn(context, stack().url, 'david'),
    ]);
    const add = async ({ openSheet, closeSheet }: AppWindow, name: string): Promise<void> => {
      const sheet = await openSheet();
      const said = sheet.getByRole('status').locator('p, li', { hasText: name });
      // Somebody who has just come has no key package yet, which the page says.
      await tryUntil(
        async () => {
          await sheet.getByLabel('Names to add').fill(name);
          await sheet.getByRole('button', { name: 'Add', exact: true }).click();
          await said.waitFor({ timeout: 40_000 }).catch(async (cause: unknown) => {
            throw new Error(await sheet.innerText(), { cause });
          });
          expect(await said.innerText()).toBe(`Added: ${name}.`);
        },
        { what: `${name} is added`, timeoutMs: 60_000, everyMs: 500 },
      );
      await closeSheet();
    };
    await Promise.all([add(alice, 'chloe'), add(bob, 'david')]);
    const windows: AppWindow[] = [];
    for (const [page, name] of [
      [carol, 'chloe'],
      [dave, 'david'],
    ] as const) {
      await page.getByRole('navigation', { name: 'Conversations' }).getByRole('link').first().click();
      windows.push(windowOf(page, name));
    }
    for (const { page } of [alice, bob, ...windows]) await page.getByText('4 people').waitFor();
    const all = [alice, bob, ...windows];
    await Promise.all(all.map(({ say, user }) => say(`from ${user}`)));
    const heard = all.map(({ user }) => `from ${user}`);
    for (const window of all) for (const text of heard) await window.hears(text);
    const orders = await Promise.all(
      all.map(async ({ texts }) => (await texts()).filter((text) => heard.includes(text))),
    );
    for (const order of orders) expect(order).toEqual(orders[0]);
  });

  test('reloads in the middle of sending lose and double nothing', async () => {
    const [alice, bob] = await twoPeople(await open(), stack().url);
    const written: [string[], string[]] = [['alice is here'], ['bob is here']];
    for (let round = 1; round <= 4; round++) {
      for (let i = 1; i <= 5; i++) {
        await alice.say(`round ${round}, ${i}`);
        written[0].push(`round ${round}, ${i}`);
        if (i === round) await Promise.all([alice.page.reload(), bob.say(`bob, round ${round}`)]);
        if (i === round) written[1].push(`bob, round ${round}`);
      }
      // A window that reads is reloaded too.
      await bob.page.reload();
    }
    await untilNothingIsMissing([alice, bob], written);
  });

  test('two tabs are one device: each shows all, and when the one that leads is closed the other goes on', async () => {
    const context = await open();
    const [alice, bob] = await twoPeople(context, stack().url);
    const tab = await context.newPage();
    await tab.goto(alice.page.url());
    const second = windowOf(tab, 'alice');
    await second.hears('bob is here');
    const texts = ['alice is here', 'bob is here'];
    const say = async (from: AppWindow, text: string): Promise<void> => {
      await from.say(text);
      texts.push(text);
      for (const window of [alice, second, bob]) if (!window.page.isClosed()) await window.hears(text);
    };
    await say(alice, 'from the first tab');
    await say(second, 'from the second tab');
    await say(bob, 'to both tabs');
    const sheet = await bob.openSheet();
    expect(await sheet.getByRole('list', { name: 'Devices of alice' }).getByRole('listitem').count()).toBe(1);
    await bob.closeSheet();
    // While a message is on its way.
    await Promise.all([second.say('while the first tab is closed'), alice.page.close()]);
    texts.push('while the first tab is closed');
    await bob.hears('while the first tab is closed');
    await say(second, 'the second tab goes on');
    await say(bob, 'and hears everything');
    expect(await second.texts()).toEqual(texts);
    expect(await bob.texts()).toEqual(texts);
  });

  test('a message that one tab gives up before it was sent is gone from the other tab', async () => {
    const context = await open();
    const [alice] = await twoPeople(context, stack().url, ['ada', 'basil']);
    const tab = await context.newPage();
    await tab.goto(alice.page.url());
    const second = windowOf(tab, 'ada');
    await second.hears('basil is here');
    await context.setOffline(true);
    // The first one is encrypted already, so it is on its way. The second one only waits.
    for (const text of ['first thought', 'second thought']) {
      await alice.say(text);
      await second.hears(text);
    }
    const row = alice.page.getByRole('log').getByRole('listitem').filter({ hasText: 'second thought' });
    await row.getByRole('button', { name: 'What to do with the message' }).click();
    await row.getByRole('button', { name: 'Do not send' }).click();
    for (const { page } of [alice, second])
      await page.getByText('second thought').first().waitFor({ state: 'detached', timeout: PATIENCE_MS });
    await context.setOffline(false);
    await alice.say('something else');
    await second.hears('something else');
  });

  test('what is marked as unread stays so until the conversation is chosen again, here or in another tab', async () => {
    const context = await open();
    const [alice, bob] = await twoPeople(context, stack().url, ['amir', 'bela']);
    const list = alice.page.getByRole('navigation', { name: 'Conversations' });
    const markUnread = async (text: string): Promise<void> => {
      const row = alice.page.getByRole('log').getByRole('listitem').filter({ hasText: text });
      await row.getByRole('button', { name: 'What to do with the message' }).click();
      await row.getByRole('button', { name: 'Mark as unread from here' }).click();
      await list.getByText('1 unread').waitFor();
    };
    await markUnread('bela is here');
    await bob.say('and more');
    await list.getByText('2 unread').waitFor();
    await list.getByRole('link', { name: 'bela' }).click();
    await list.getByText('unread').waitFor({ state: 'detached' });

    await markUnread('and more');
    const tab = await context.newPage();
    await tab.goto(new URL('?user=amir', stack().url).href);
    const others = tab.getByRole('navigation', { name: 'Conversations' });
    await others.getByText('1 unread').waitFor();
    await others.getByRole('link', { name: 'bela' }).click();
    for (const one of [list, others]) await one.getByText('unread').waitFor({ state: 'detached' });
    // The first tab reads again what comes.
    await tab.close();
    await bob.say('the last one');
    await alice.hears('the last one');
    await list.getByText('unread').waitFor({ state: 'detached' });
  });

  test('a second device of a person joins by itself, and says so', async () => {
    const context = await open();
    const [alice, bob] = await twoPeople(context, stack().url, ['anna', 'ben']);
    await context.addInitScript(`
      globalThis.said = [];
      new MutationObserver(() => {
        const text = document.querySelector('#messages')?.textContent ?? '';
        if (text !== '' && said.at(-1) !== text) said.push(text);
      }).observe(document, { childList: true, subtree: true, characterData: true });
    `);
    await alice.page.getByRole('button', { name: 'Settings' }).click();
    const [page] = await Promise.all([
      context.waitForEvent('page'),
      alice.page.getByRole('link', { name: 'Open as another device' }).click(),
    ]);
    const phone = windowOf(page, 'anna');
    await page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
    expect(new URL(page.url()).searchParams.get('device')).toBe('phone');
    const said = await page.evaluate<string[]>('said');
    expect(said[0]).toContain('Joining the conversation');
    expect(said.filter((text) => text.includes('not in this conversation'))).toEqual([]);
    await phone.say('from the phone');
    await bob.hears('from the phone');
  });

  test('what comes while the other pane is shown is unread until the person sees it', async () => {
    const context = await open();
    const [alice, bob] = await twoPeople(context, stack().url, ['asta', 'bruno']);
    await alice.page.setViewportSize({ width: 360, height: 740 });
    await alice.page.getByRole('button', { name: 'Inside' }).click();
    const reads: string[] = [];
    alice.page.on('request', (request: Request) => {
      if (request.url().endsWith('/read')) reads.push(request.url());
    });
    const tab = alice.page.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: /^Chat/ });
    for (const count of [1, 2]) {
      await bob.say(`unseen ${count}`);
      await tab.getByText(`${count} unread`).waitFor();
    }
    expect(reads).toEqual([]);
    await tab.click();
    await alice.hears('unseen 2');
    await tab.getByText('unread').waitFor({ state: 'detached' });
  });

  test('offline: what is written waits, in order, over a reload too, and is sent when the network is back', async () => {
    // Two browsers: only one of them is offline.
    const [one, other] = [await open(), await open()];
    const [alice, guest] = await twoPeople(one, stack().url);
    const link = new URL(stack().url);
    link.searchParams.set('join', new URLSearchParams(new URL(alice.page.url()).hash.slice(1)).get('c') ?? '');
    const bob = windowOf(await signIn(other, link.href, 'bernd'), 'bernd');
    await bob.page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
    await alice.say('for all');
    await bob.hears('for all');
    await one.setOffline(true);
    await alice.page.getByText('Offline').first().waitFor({ timeout: PATIENCE_MS });
    const waiting = ['offline 1', 'offline 2', 'offline 3'];
    for (const text of waiting) await alice.say(text);
    await bob.say('while alice is away');
    expect(await bob.page.getByText('offline 1').count()).toBe(0);
    await one.setOffline(false);
    for (const text of waiting) await bob.hears(text);
    await alice.hears('while alice is away');
    await guest.hears('offline 3');
    const order = (await bob.texts()).filter((text) => text !== 'alice is here' && text !== 'bob is here');
    expect(order.filter((text) => text.startsWith('offline'))).toEqual(waiting);
    expect(await alice.texts()).toEqual(['alice is here', 'bob is here', ...order]);
  });

  test('the page asks nobody else, breaks no rule of its content policy, and keeps no token', async () => {
    const context = await open();
    const asked = new Set<string>();
    const tokens: string[] = [];
    context.on('request', (request: Request) => asked.add(new URL(request.url()).origin));
    context.on('response', (response) => {
      if (!response.url().endsWith('/tokens') || response.request().method() !== 'POST') return;
      void response.json().then(({ token }: { token: string }) => tokens.push(token));
    });
    await context.addInitScript(() => {
      const broken: string[] = [];
      Object.assign(globalThis, { broken });
      addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }: SecurityPolicyViolation) =>
        broken.push(`${violatedDirective} ${blockedURI}`),
      );
    });
    const [alice, bob] = await twoPeople(context, stack().url);
    const sheet = await alice.openSheet();
    await sheet.getByRole('heading', { name: 'Rules', exact: true }).waitFor();
    await alice.closeSheet();
    await alice.page.getByRole('button', { name: 'Settings' }).click();
    await alice.page.getByRole('dialog', { name: 'Settings' }).waitFor();
    expect([...asked].sort()).toEqual([new URL(stack().url).origin, stack().controlUrl].sort());
    for (const { page } of [alice, bob]) {
      expect(await page.evaluate('broken')).toEqual([]);
      expect(await scriptFromOutside(page)).toBe('refused');
    }
    expect(tokens.length).toBeGreaterThanOrEqual(2);
    const kept = await everythingKept(alice.page);
    // What is looked at has something in it.
    expect(kept).toContain('alice');
    for (const token of tokens) expect(kept).not.toContain(token.split('.')[2]);
    expect(await context.cookies()).toEqual([]);
  });
});

/** Of the event, what the test reads. */
interface SecurityPolicyViolation {
  readonly violatedDirective: string;
  readonly blockedURI: string;
}
declare function addEventListener(
  name: 'securitypolicyviolation',
  listener: (event: SecurityPolicyViolation) => void,
): void;

/** Whether the page runs what an attacker would put into it. */
function scriptFromOutside(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    try {
      document.body.innerHTML += '<img src=x onerror="globalThis.ran = true">';
    } catch {
      return 'refused';
    }
    return 'ran';
  })()`);
}

/** All that the page has stored in the browser, as text. */
function everythingKept(page: Page): Promise<string> {
  return page.evaluate<string>(`(async () => {
    const ask = (request) => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href];
    for (const { name } of await indexedDB.databases()) {
      kept.push(name);
      const database = await ask(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        const values = await ask(database.transaction(store).objectStore(store).getAll());
        const text = (value) => value instanceof Uint8Array || value instanceof ArrayBuffer
          ? new TextDecoder().decode(value)
          : value !== null && typeof value === 'object' ? Object.values(value).map(text).join(' ') : String(value);
        kept.push(...values.map(text));
      }
      database.close();
    }
    for (const name of await caches.keys()) kept.push(name);
    return kept.join('\\n');
  })()`);
}
