import { statSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { tryUntil } from '../../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../../harness/chromium.ts';
import { testFolder } from '../../harness/folder.ts';
import { useWebAppStack } from '../../harness/web-app/stack.ts';
import { signIn, startConversation, windowOf } from '../../harness/web-app/window.ts';

// The pictures of README and tutorial. `PICTURES=1 npm run test:edges -- web-app/pictures` writes them; otherwise only that they can be made.

const MAX_BYTES = 200 * 1024;

describe.skipIf(!hasChromium)('the pictures of the web app', () => {
  const stack = useWebAppStack();
  const browser = useChromium();

  test('show the steps of the tutorial, and two panes with a conversation', async () => {
    const folder = process.env.PICTURES === '1' ? path.join(packageRoot(), 'docs', 'pictures') : testFolder();
    const context = await browser().newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
    onTestFinished(() => context.close());
    const take = async (page: Page, name: string): Promise<void> => {
      const file = path.join(folder, name);
      await page.screenshot({ path: file });
      expect(statSync(file).size, name).toBeLessThan(MAX_BYTES);
    };
    const first = await context.newPage();
    await first.goto(stack().url);
    await first.getByLabel('Your name').fill('ada');
    await take(first, 'tutorial-1-name.png');
    await first.close();

    const { window: ada, link } = await startConversation(await signIn(context, stack().url, 'ada'), 'ada');
    const ben = windowOf(await signIn(context, link, 'ben'), 'ben');
    await ben.page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
    await ada.say('Hi Ben! Nobody but the two of us can read this.');
    await ben.hears('Hi Ben! Nobody but the two of us can read this.');
    await ben.say('Hello! And I can read it.');
    await ada.hears('Hello! And I can read it.');
    await ada.page.bringToFront();
    await take(ada.page, 'tutorial-2-message.png');

    await ada.page.getByRole('button', { name: 'Stop Temporal for 20 s' }).click();
    await ada.say('Temporal is stopped now. Does this arrive?');
    await ben.hears('Temporal is stopped now. Does this arrive?');
    await ben.say('At once: it went the direct way.');
    await ada.hears('At once: it went the direct way.');
    await tryUntil(() => ada.page.getByRole('button', { name: 'Close', exact: true }).click({ timeout: 1000 }), {
      what: 'Temporal goes on',
      timeoutMs: 60_000,
    });
    // Until the API trusts Temporal again.
    const lines = ['And now it is back.', 'Does it use the workflow again?', 'Yes: look at the right side.'];
    await tryUntil(
      async () => {
        const line = lines.shift();
        if (line !== undefined) await ben.say(line);
        await ada.page.getByText('direct: taken now').waitFor({ state: 'detached', timeout: 3000 });
      },
      { what: 'messages go through the workflow again', timeoutMs: 120_000 },
    );
    for (const line of [...lines, 'Good. I add Carol, then.']) await ada.say(line);
    await ben.hears('Good. I add Carol, then.');
    await take(ada.page, 'two-panes.png');

    await ada.page.getByRole('button', { name: 'Kill the worker' }).click();
    await ada.say('The worker is dead. Still there?');
    await ben.hears('The worker is dead. Still there?');
    await ada.page.getByRole('region', { name: 'What happens now' }).getByRole('listitem').first().waitFor();
    await take(ada.page, 'tutorial-3-kill.png');
  });
});
