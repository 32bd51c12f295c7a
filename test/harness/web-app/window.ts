import type { BrowserContext, Locator, Page } from 'playwright-core';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

/** A window of the web app with a conversation, as a person uses it: by what stands on the page. */
export interface AppWindow {
  readonly page: Page;
  readonly user: string;
  /** Writes a message and presses Enter. Resolves when the list shows it. */
  readonly say: (text: string) => Promise<void>;
  /** Texts in the list, in its order. */
  readonly texts: () => Promise<string[]>;
  /** Waits until the list has a text. */
  readonly hears: (text: string) => Promise<void>;
  /** Opens people, safety and rules. */
  readonly openSheet: () => Promise<Locator>;
  readonly closeSheet: () => Promise<void>;
  /** The running check: what is lost, doubled and out of order, and how much was looked at. */
  readonly check: () => Promise<string>;
}

/** What the running check begins with. */
const NOTHING_WRONG = '0 lost 0 doubled 0 out of order ';

/** Waits long: a part of the stack may be starting again on a busy machine. */
export const PATIENCE_MS = 180_000;

/** The window that a page shows, with an open conversation. */
export function windowOf(page: Page, user: string): AppWindow {
  const list = page.getByRole('log', { name: 'Messages' });
  const texts = (): Promise<string[]> => list.locator('.text').allInnerTexts();
  const dialog = page.getByRole('dialog', { name: 'People, safety and rules' });
  return {
    page,
    user,
    texts,
    say: async (text) => {
      const field = page.getByRole('textbox', { name: 'Message', exact: true });
      await field.fill(text);
      await field.press('Enter');
      await list.getByText(text, { exact: true }).waitFor();
    },
    hears: (text) => list.getByText(text, { exact: true }).waitFor({ timeout: PATIENCE_MS }),
    openSheet: async () => {
      await page.getByRole('button', { name: 'People, safety and rules' }).click();
      await dialog.waitFor();
      return dialog;
    },
    closeSheet: async () => {
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
    },
    check: async () => (await page.getByRole('region', { name: 'Running check' }).innerText()).replace(/\s+/g, ' '),
  };
}

/** Opens the page and chooses a name. */
export async function signIn(context: BrowserContext, url: string, user: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(url);
  await page.getByLabel('Your name').fill(user);
  await page.getByRole('button', { name: /^(Start|Join)$/ }).click();
  await page.getByRole('button', { name: 'Settings' }).waitFor();
  return page;
}

/** Makes a conversation without others. @returns its window and its invitation link */
export async function startConversation(page: Page, user: string): Promise<{ window: AppWindow; link: string }> {
  await page.getByRole('button', { name: 'New conversation' }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  const invitation = page.getByRole('link', { name: 'Open as another person' });
  await invitation.first().waitFor();
  return { window: windowOf(page, user), link: (await invitation.first().getAttribute('href')) ?? '' };
}

/** Two people in one conversation, in two windows of one browser: the second one has followed the invitation link. */
export async function twoPeople(
  context: BrowserContext,
  url: string,
  [first, second]: readonly [string, string] = ['alice', 'bob'],
): Promise<readonly [AppWindow, AppWindow]> {
  const { window, link } = await startConversation(await signIn(context, url, first), first);
  const other = windowOf(await signIn(context, link, second), second);
  await other.page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
  await window.say(`${first} is here`);
  await other.hears(`${first} is here`);
  await other.say(`${second} is here`);
  await window.hears(`${second} is here`);
  return [window, other];
}

/**
 * Waits until the windows show the same messages in the same order: each of these once, and those of one writer in the order in which they
 * were written. The running check of each window must say the same.
 * @param written by writer, in order
 */
export async function untilNothingIsMissing(
  windows: readonly AppWindow[],
  written: readonly (readonly string[])[],
): Promise<void> {
  const all = written.flat().sort();
  let seen: string[][] = [];
  let checks: string[] = [];
  await waitUntil(
    async () => {
      seen = await Promise.all(windows.map((window) => window.texts()));
      checks = await Promise.all(windows.map((window) => window.check()));
      const [first = []] = seen;
      return (
        seen.every((texts) => JSON.stringify(texts) === JSON.stringify(first)) &&
        JSON.stringify([...first].sort()) === JSON.stringify(all) &&
        checks.every((text) => text.startsWith(NOTHING_WRONG) && text.includes('windows compared'))
      );
    },
    { what: 'all windows show all messages', timeoutMs: PATIENCE_MS, everyMs: 100 },
  ).catch((error: unknown) => {
    throw new Error(`Windows differ: ${JSON.stringify({ all, seen, checks }, undefined, 1)}`, { cause: error });
  });
  const [order = []] = seen;
  for (const texts of written) {
    const inOrder = order.filter((text) => texts.includes(text));
    if (JSON.stringify(inOrder) !== JSON.stringify(texts))
      throw new Error(`Out of order: ${JSON.stringify(inOrder)} instead of ${JSON.stringify(texts)}`);
  }
}
