import { cpSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryStore, openChat } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../harness/chromium.ts';
import { newProject, packClient } from '../harness/client-package.ts';
import { useFolder } from '../harness/folder.ts';
import { useService } from '../harness/service.ts';

describe.skipIf(!hasChromium)('the example for browsers, in Chromium', () => {
  const folder = useFolder();
  const cleanup = createCleanup();
  let origin = '';
  let script = '';
  beforeAll(async () => {
    await newProject(folder, await packClient(folder));
    cpSync(path.join(packageRoot(), 'client/examples/browser.ts'), path.join(folder, 'browser.ts'));
    const build = await rolldown({ input: path.join(folder, 'browser.ts'), cwd: folder, platform: 'browser' });
    const { output } = await build.generate({ format: 'esm', codeSplitting: false });
    await build.close();
    script = output[0].code;
    const server = await serveSite();
    cleanup.add('site', () => void server.close());
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  const service = useService(() => ({ apis: 1, workers: 1, env: { CORS_ORIGINS: origin } }));
  const browser = useChromium();
  afterAll(() => cleanup.run());

  /** The site of an app: the page, and the token of who is signed in, which the user in the path stands for. */
  async function serveSite(): Promise<Server> {
    const server = createServer((request, response) => {
      const user = new URL(request.headers.referer ?? '/', origin).pathname.slice(1);
      if (request.url === '/token')
        void service()
          .token(user)
          .then((token) => response.end(token));
      else if (request.url === '/page.js') response.setHeader('content-type', 'text/javascript').end(script);
      else response.setHeader('content-type', 'text/html').end(pageOf((request.url ?? '').slice(1)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  }
  const pageOf = (user: string): string => `<!doctype html>
    <body data-service="${service().apis[0]?.url ?? ''}" data-user="${user}">
    <ul></ul><form><input name="text"></form><script type="module" src="/page.js"></script>`;

  const lines = (page: Page): Promise<string[]> => page.locator('li').allTextContents();
  const untilShown = (page: Page, line: string): Promise<void> =>
    waitUntil(async () => (await lines(page)).includes(line), { what: `a page shows ${line}` });
  const write = async (page: Page, text: string): Promise<void> => {
    await page.locator('input').fill(text);
    await page.locator('input').press('Enter');
  };

  test('a person in two tabs talks with another: offline, and when the first tab is closed', async () => {
    const [hers, his] = [await browser().newContext(), await browser().newContext()];
    const [alice, bob] = [await hers.newPage(), await his.newPage()];
    await alice.goto(`${origin}/alice`);
    await bob.goto(`${origin}/bob`);
    for (const user of ['alice', 'bob']) {
      const isThere = async (): Promise<boolean> =>
        (await service().clientOf(user).devices()).some(({ available }) => available > 0);
      await waitUntil(isThere, { what: `${user} can be added` });
    }
    const carol = await openChat({
      ...{ mls: tsMls, url: service().apis[0]?.url ?? '', user: 'carol', store: memoryStore() },
      token: () => service().token('carol'),
    });
    cleanup.add('carol', () => carol.close());
    const id = await carol.create({ users: ['alice', 'bob'] });
    await carol.send(id, 'welcome');
    const tab = await hers.newPage();
    await tab.goto(`${origin}/alice`);
    for (const page of [alice, bob, tab]) await untilShown(page, 'carol: welcome (seen)');
    await write(tab, 'hello bob');
    await untilShown(bob, 'alice: hello bob (seen)');
    await untilShown(alice, 'alice: hello bob (seen)');

    await his.setOffline(true);
    await write(bob, 'written in a tunnel');
    await untilShown(bob, 'bob: written in a tunnel (waiting)');
    await his.setOffline(false);
    await untilShown(tab, 'bob: written in a tunnel (seen)');

    await alice.close();
    await write(tab, 'still here');
    for (const page of [bob, tab]) await untilShown(page, 'alice: still here (seen)');
    expect(await lines(tab)).toEqual(await lines(bob));
  });
});
