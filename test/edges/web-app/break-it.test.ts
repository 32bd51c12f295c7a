import type { BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import { type AppWindow, PATIENCE_MS, twoPeople, untilNothingIsMissing } from '../../harness/web-app/window.ts';

// Two people write while a part of the stack is broken by a button of the page.

describe.skipIf(!hasChromium)('a button of the web app breaks a part of the stack, and nothing is lost', () => {
  const stack = useWebAppStack();
  const browser = useChromium();
  let context: BrowserContext;
  let windows: readonly [AppWindow, AppWindow];
  /** By writer. */
  const written: readonly [string[], string[]] = [[], []];
  beforeAll(async () => {
    context = await browser().newContext();
    windows = await twoPeople(context, stack().url);
    written[0].push('alice is here');
    written[1].push('bob is here');
  });
  afterAll(() => context.close());

  /** Both write at the same time. */
  const bothSay = async (what: string, times = 3): Promise<void> => {
    await Promise.all(
      windows.map(async ({ say, user }, index) => {
        for (let i = 1; i <= times; i++) {
          const text = `${what}, ${user}, ${i}`;
          await say(text);
          written[index]?.push(text);
        }
      }),
    );
  };
  const press = async (name: string): Promise<void> => {
    const button = windows[0].page.getByRole('button', { name, exact: true });
    await waitUntil(async () => (await button.getAttribute('aria-disabled')) === 'false', {
      what: `the button ${name} can be pressed`,
      timeoutMs: PATIENCE_MS,
    });
    await button.click();
  };
  /** Waits until the stack is whole again. */
  const whole = async (): Promise<void> => {
    const stream = await stack().control.follow();
    await waitUntil(
      () => stream.state()?.action === null && stream.state()?.parts.every(({ state }) => state === 'running') === true,
      { what: 'every part runs again', timeoutMs: PATIENCE_MS },
    ).finally(stream.close);
  };
  const restarts = async (): Promise<number> => {
    const stream = await stack().control.follow();
    await waitUntil(() => stream.state() !== undefined, { what: 'there is a state' }).finally(stream.close);
    return stream.state()?.parts.reduce((sum, part) => sum + part.restarts, 0) ?? 0;
  };

  test.each([
    ['Kill the worker', 1],
    ['Stop Temporal for 20 s', 0],
    ['Kill Postgres', 1],
    ['Kill the API', 1],
    ['Terminate this workflow', 0],
  ])('%s', async (button, killed) => {
    const before = await restarts();
    await bothSay(`before: ${button}`, 1);
    await press(button);
    await bothSay(`during: ${button}`);
    await whole();
    await bothSay(`after: ${button}`, 1);
    await untilNothingIsMissing(windows, written);
    expect(await restarts()).toBe(before + killed);
    // The page tells what happened.
    await windows[0].page.getByRole('region', { name: 'What happens now' }).getByRole('listitem').first().waitFor();
  });

  test('Take a backup, and restore it: what the service has forgotten is sent again by whoever wrote it', async () => {
    await bothSay('before the backup', 1);
    await untilNothingIsMissing(windows, written);
    await press('Take a backup');
    await whole();
    await bothSay('after the backup', 2);
    await untilNothingIsMissing(windows, written);
    await press('Restore the backup');
    await windows[0].page.getByRole('dialog').getByRole('button', { name: 'Restore it' }).click();
    await whole();
    await bothSay('after the restore', 2);
    // Messages come again in another order than those that were written since: only their number counts here.
    await untilNothingIsMissing(
      windows,
      written.flat().map((text) => [text]),
    );
  });

  test('the network of one window is cut: what is written there waits, and what others write comes later', async () => {
    const [alice, bob] = windows;
    const cut = alice.page.getByRole('button', { name: 'Cut this window’s network' });
    await cut.click();
    await bothSay('while cut', 3);
    expect(await bob.texts()).not.toContain('while cut, alice, 1');
    expect(await alice.texts()).not.toContain('while cut, bob, 1');
    await alice.page.getByRole('button', { name: 'Connect this window again' }).click();
    await untilNothingIsMissing(
      windows,
      written.flat().map((text) => [text]),
    );
  });
});
