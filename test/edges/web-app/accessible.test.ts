import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import { type AppWindow, signIn, startConversation, twoPeople, windowOf } from '../../harness/web-app/window.ts';

// The web app for people who use a keyboard, a screen reader, other colours or a narrow screen.

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Names and texts that break layouts: one word without an end, from right to left, emoji of several characters. */
const LONG = 'w'.repeat(200);
const TEXTS = ['مرحبا، كيف حالك؟', '👩‍👩‍👧‍👦🏳️‍🌈', 'x'.repeat(600), 'two\nlines', '<b>no markup</b>', 'שלום abc 123'];

interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[];
}

/** What axe finds, as text. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  // Colours that are on their way from one to another are not those that a person reads.
  await page.evaluate(`Promise.allSettled(document.getAnimations()
    .filter((one) => one.effect?.getComputedTiming().endTime !== Infinity).map((one) => one.finished))`);
  const found = await page.evaluate<Finding[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)`,
  );
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  );
}

describe.skipIf(!hasChromium)('the web app is for everybody', () => {
  const stack = useWebAppStack();
  const browser = useChromium();
  let alice: AppWindow;
  let address = '';
  beforeAll(async () => {
    // axe makes elements from text, which the content policy of the page forbids. The browser closes the context.
    const context = await browser().newContext({ bypassCSP: true });
    const [first, other] = await twoPeople(context, stack().url, ['alice', LONG]);
    alice = first;
    for (const text of TEXTS) {
      await alice.page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
      await alice.page.keyboard.press('Enter');
    }
    await other.hears('<b>no markup</b>');
    await other.page.close();
    address = alice.page.url();
  });
  /** Opens the conversation as if nothing had been done in the window. */
  const openAgain = async (): Promise<void> => {
    await alice.page.goto(address);
    await alice.page.reload();
    await alice.page.getByRole('log').getByText('two').waitFor();
  };

  /** What a person opens, and how it is closed again. */
  const VIEWS: Readonly<Record<string, (page: Page) => Promise<void>>> = {
    'a conversation': () => Promise.resolve(),
    'people, safety and rules': async (page) => {
      await page.getByRole('button', { name: 'People, safety and rules' }).click();
      await page.getByRole('heading', { name: 'Rules', exact: true }).waitFor();
    },
    settings: async (page) => {
      await page.getByRole('button', { name: 'Settings' }).click();
      await page.getByRole('heading', { name: 'Your devices' }).waitFor();
    },
    'a new conversation': async (page) => {
      const back = page.getByRole('button', { name: 'Back to the list' });
      if (await back.isVisible()) await back.click();
      await page.getByRole('button', { name: 'New conversation' }).first().click();
      await page.getByRole('dialog').waitFor();
    },
    'the menu of a message': async (page) => {
      await page.getByRole('button', { name: 'What to do with the message' }).last().click();
    },
    'the question before a restore': async (page) => {
      await page.getByRole('button', { name: 'Restore the backup', exact: true }).click();
      await page.getByRole('dialog').waitFor();
    },
    'the log and its chain': async (page) => {
      await page.getByRole('button', { name: 'Log and chain' }).click();
    },
    'the terminal': async (page) => {
      await page.getByRole('button', { name: 'Terminal' }).click();
    },
    'a window whose network is cut': async (page) => {
      await page.getByRole('button', { name: 'Cut this window’s network' }).click();
      await page.getByText('The network of this window is cut.').waitFor();
    },
  };

  test.each(Object.keys(VIEWS))('axe finds nothing in %s, in light and dark colours', async (name) => {
    const { page } = alice;
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await openAgain();
      await VIEWS[name]?.(page);
      expect(await findings(page), colorScheme).toEqual([]);
    }
    await page.emulateMedia({ colorScheme: 'light' });
  });

  test.each(['', '?join=bm9ib2R5', '?user=nobody-yet#c=bm9ib2R5', '?user=nobody-yet'])(
    'axe finds nothing at the start with the address /app/%s',
    async (start) => {
      const context = await browser().newContext({ bypassCSP: true });
      onTestFinished(() => context.close());
      const page = await context.newPage();
      await page.goto(new URL(start, stack().url).href);
      await page.getByRole('main').getByRole('heading').first().waitFor();
      if (start.includes('user=')) await page.getByRole('button', { name: 'Settings' }).waitFor();
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        expect(await findings(page), colorScheme).toEqual([]);
      }
    },
  );

  test.each(Object.keys(VIEWS))('%s fits into 360 pixels', async (name) => {
    const { page } = alice;
    await page.setViewportSize({ width: 360, height: 740 });
    onTestFinished(() => page.setViewportSize({ width: 1280, height: 800 }));
    await openAgain();
    if (/restore|log|terminal|cut/.test(name)) await page.getByRole('button', { name: 'Inside' }).click();
    await VIEWS[name]?.(page);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    const wide = `[...document.querySelectorAll('dialog[open], dialog[open] *, .bubble, header, button')]
      .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > 361)
      .map((one) => one.outerHTML.slice(0, 200))`;
    expect(await page.evaluate(wide)).toEqual([]);
    expect(await findings(page)).toEqual([]);
  });

  test('with the keyboard alone: a name, a conversation, a message, the people in it, and a button that breaks something', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(stack().url);
    await page.getByLabel('Your name').waitFor();
    // The field has the focus already, and its text is selected.
    await page.keyboard.type('keyboard');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Settings' }).waitFor();
    await tabTo(page, 'New conversation');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await tabTo(page, 'Create');
    await page.keyboard.press('Enter');
    await page.getByText('Nobody else is here yet').waitFor();
    await tabTo(page, 'Message');
    await page.keyboard.type('typed');
    await page.keyboard.press('Enter');
    await windowOf(page, 'keyboard').hears('typed');
    await tabTo(page, 'People, safety and rules');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    // The focus is back where it was.
    expect(await focused(page)).toBe('People, safety and rules');
    await tabTo(page, 'Kill the worker');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'What happens now' }).waitFor();
  });

  test('the focus stays near what a person did with the keyboard', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const [{ page, say, hears }, other] = await twoPeople(context, stack().url, ['focus', 'removed']);
    const press = async (name: string): Promise<void> => {
      await tabTo(page, name);
      await page.keyboard.press('Enter');
    };
    const isFocused = (name: string): Promise<void> =>
      waitUntil(async () => (await focused(page)) === name, { what: `${name} has the focus` });
    // A message that is deleted has no button any more.
    await say('to be deleted');
    await hears('to be deleted');
    const row = page.getByRole('log').getByRole('listitem').filter({ hasText: 'to be deleted' });
    const button = row.getByRole('button', { name: 'What to do with the message' });
    await page.getByText('In the log').last().waitFor({ state: 'attached' });
    await button.focus();
    await page.keyboard.press('Enter');
    await press('Delete for everybody');
    await page.getByRole('dialog').waitFor();
    await press('Delete for everybody');
    await page.keyboard.press('Enter');
    await page.getByText('Deleted for everybody').waitFor();
    await isFocused('Messages');
    // A person who is removed has none either.
    await press('People, safety and rules');
    await page.getByRole('dialog').waitFor();
    await press('Remove: removed');
    await isFocused('Really remove: removed');
    await page.keyboard.press('Enter');
    await page.getByRole('list', { name: 'Devices of removed' }).waitFor({ state: 'detached' });
    await page.locator('dialog h2:focus').waitFor();
    await other.page.close();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    // Neither has the last step back.
    for (let i = 1; i <= 45; i++) await say(`message ${i}`);
    await page.reload();
    await page.getByRole('log').getByText('message 45', { exact: true }).waitFor();
    await press('Older messages');
    await page.getByRole('log').getByText('message 1', { exact: true }).waitFor();
    await isFocused('Messages');
    // A question gives the focus back to the button that asked it.
    await press('Restore the backup');
    await page.getByRole('dialog').waitFor();
    await press('Leave it');
    await isFocused('Restore the backup');
  });

  test('who lets somebody in, or gives up a message, keeps the focus near', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const page = await signIn(context, stack().url, 'doorman');
    await page.getByRole('button', { name: 'New conversation' }).first().click();
    await page.getByRole('checkbox').uncheck();
    await page.getByRole('button', { name: 'Create' }).click();
    const link = (await page.getByRole('link', { name: 'Open as another person' }).first().getAttribute('href')) ?? '';
    const guest = await signIn(context, link, 'guest');
    await guest.getByText('You have asked to join').waitFor();
    await page.getByText('asks to join, with the device').waitFor();
    await tabTo(page, 'Let in guest');
    await page.keyboard.press('Enter');
    await page.getByText('asks to join, with the device').waitFor({ state: 'detached' });
    await waitUntil(async () => (await focused(page)) === 'Messages', { what: 'the list has the focus' });
    await guest.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
  });

  test('a dialog stays when a selection is dragged out of it, and is closed by a press beside it', async () => {
    const { page } = alice;
    await openAgain();
    await page.getByRole('button', { name: 'People, safety and rules' }).click();
    const dialog = page.getByRole('dialog');
    const link = dialog.getByRole('textbox', { name: 'Invitation link' });
    await link.scrollIntoViewIfNeeded();
    const { x = 0, y = 0, height = 0 } = (await link.boundingBox()) ?? {};
    await page.mouse.move(x + 100, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(5, y + height / 2, { steps: 5 });
    await page.mouse.up();
    expect(await dialog.isVisible()).toBe(true);
    await page.mouse.click(5, y);
    await dialog.waitFor({ state: 'detached' });
  });

  test('a name that was wrong is not called so while it is typed anew', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(stack().url);
    const field = page.getByLabel('Your name');
    await field.fill('');
    await page.keyboard.press('Enter');
    await page.getByText('Type a name.').waitFor();
    await page.keyboard.type('n');
    await page.getByText('Any name will do.').waitFor();
    expect(await field.getAttribute('aria-invalid')).not.toBe('true');
  });

  test('a skip link leads to the messages', async () => {
    const context = await browser().newContext();
    onTestFinished(() => context.close());
    const page = await signIn(context, stack().url, 'skipper');
    await startConversation(page, 'skipper');
    await page.reload();
    await page.getByText('Nobody else is here yet').waitFor();
    await page.evaluate('document.activeElement.blur()');
    await tabTo(page, 'Skip to the messages');
    await page.keyboard.press('Enter');
    await page.locator('#messages:focus').waitFor();
  });
});

/** Name of what has the focus. */
function focused(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const { activeElement: one } = document;
    return one?.getAttribute('aria-label') ?? one?.textContent?.trim() ?? '';
  })()`);
}

/** Presses Tab until something with this name has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let i = 0; i < 120; i++) {
    if ((await focused(page)) === name) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`The keyboard does not reach ${name}`);
}
