import type { BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import {
  type AppWindow,
  PATIENCE_MS,
  startConversation,
  twoPeople,
  untilNothingIsMissing,
} from '../../harness/web-app/window.ts';
import { CUT } from '../../../web/break/actions.ts';

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
    await alice.page.getByRole('button', { name: CUT.begin }).click();
    await bothSay('while cut', 3);
    expect(await bob.texts()).not.toContain('while cut, alice, 1');
    expect(await alice.texts()).not.toContain('while cut, bob, 1');
    await alice.page.getByRole('button', { name: CUT.end }).click();
    await untilNothingIsMissing(
      windows,
      written.flat().map((text) => [text]),
    );
  });

  test('a window that is loaded again is still one window for the check', async () => {
    const [alice, bob] = windows;
    const read = (check: string): number => Number(/(\d+) read here/.exec(check)?.[1]);
    await alice.say('before');
    await bob.hears('before');
    await bob.page.reload();
    await bob.hears('before');
    await waitUntil(async () => (await bob.check()).includes('windows compared'), { what: 'bob is there again' });
    let check = await alice.check();
    const before = read(check);
    await bob.say('after');
    await waitUntil(async () => read((check = await alice.check())) > before, { what: 'alice has read it' });
    expect(check).toContain('· 2 windows compared');
  });

  test('another conversation shows nothing of the one before', async () => {
    const [{ page, say, hears }] = windows;
    await say('in the first conversation');
    const story = page.getByRole('region', { name: 'What happens now' });
    const refusal = page.getByText('Not now.', { exact: true });
    await page.route('**/actions', (route) =>
      route.fulfill({ status: 409, json: { detail: 'Not now.' }, headers: { 'access-control-allow-origin': '*' } }),
    );
    await press('Kill the worker');
    await refusal.waitFor();
    // What another button does begins anew.
    await page.getByRole('button', { name: CUT.begin }).click();
    await refusal.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: CUT.end }).click();
    await press('Kill the worker');
    await refusal.waitFor();
    const second = await startConversation(page, 'alice');
    await refusal.waitFor({ state: 'detached' });
    await page.unroute('**/actions');

    // What was broken before may still keep operations away from workflows.
    await tryUntil(
      async () => {
        await second.window.say('in the second conversation');
        await press('Terminate this workflow');
        await story.getByRole('heading', { name: 'Terminate this workflow' }).waitFor({ timeout: 1_000 });
      },
      { what: 'its workflow runs and is terminated', timeoutMs: PATIENCE_MS },
    );
    await whole();
    await page.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.getByRole('button', { name: /^Go on/ }).waitFor();
    await page.goBack();
    await hears('in the first conversation');
    await story.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Pause', exact: true }).waitFor();
  });
});
