import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toBase64 } from '../../client/index.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { newProject, packClient } from '../harness/client-package.ts';
import { newConversationId } from '../../tools/harness/opaque.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { hasChromium, useChromium } from '../harness/chromium.ts';
import { useFolder } from '../harness/folder.ts';
import { blocksOf, read } from '../harness/markdown.ts';
import { useService } from '../harness/service.ts';

/** What the page of an app is, besides the code of docs/how-to/browser.md. Here it only lets the test look. */
const GLUE = `
  globalThis.seen = [];
  globalThis.ends = [];
  globalThis.texts = [];
  globalThis.follow = ({ token, ...options }) => followConversation({
    ...options, getToken: () => token, onEntry: ({ seq }) => seen.push(seq), onEnd: (name) => ends.push(name) });
  globalThis.open = ({ token, ...options }) => new Promise((resolve, reject) => runDevice({
    ...options, getToken: () => token, onOpen: (mls) => resolve(globalThis.mls = mls),
    onMessage: (group, { sender, text }) => texts.push(sender + ': ' + text) }).catch(reject));
  globalThis.ask = async (url, init) => {
    const answer = await fetch(url, init);
    return { status: answer.status, body: await answer.text(), headers: Object.fromEntries(answer.headers) };
  };
`;

describe.skipIf(!hasChromium)('in Chromium, a page of another origin', () => {
  const folder = useFolder();
  const cleanup = createCleanup();
  let bundle = '';
  let site: Server;
  let origin = '';
  let stranger = '';
  beforeAll(async () => {
    bundle = await bundlePage(folder);
    // The same page under two origins, of which one is allowed.
    [site, origin] = await serve(() => bundle);
    cleanup.add('site', () => void site.close());
    const [other, url] = await serve(() => bundle);
    stranger = url;
    cleanup.add('other site', () => void other.close());
  });
  const service = useService(() => ({ apis: 2, workers: 1, env: { CORS_ORIGINS: origin, RATE_LIMIT_WRITES: '1000' } }));
  let line: TcpProxy;
  const browser = useChromium();
  let url = '';
  beforeAll(async () => {
    // Stays where it is while processes come and go.
    line = await startTcpProxy(new URL(service().apis[0]?.url ?? '').host);
    cleanup.add('line', line.close);
    url = `http://${line.address}`;
  });
  afterAll(() => cleanup.run());

  /** A page in a profile of its own. */
  const visit = async (where = origin): Promise<Page> => {
    const page = await (await browser().newContext()).newPage();
    await page.goto(where);
    return page;
  };
  const call = <T>(page: Page, name: string, ...input: unknown[]): Promise<T> =>
    page.evaluate(`${name}(${input.map((one) => JSON.stringify(one)).join(', ')})`);
  const ask = (page: Page, target: string, init: object = {}): Promise<Answer> =>
    call(page, 'ask', `${url}${target}`, init);
  const create = async (user: string): Promise<string> => {
    const id = newConversationId();
    await service()
      .clientOf(user)
      .createConversation({ id, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
    return id;
  };
  const say = async (user: string, id: string, api = 0): Promise<number> => {
    const message = { id: randomUUID(), ciphertext: toBase64(Buffer.from('hello')) };
    return (await service().clientOf(user, { api }).send(id, message)).seq;
  };
  const untilSeen = async (page: Page, last: number): Promise<void> => {
    const seen = (): Promise<number[]> => page.evaluate('seen');
    await waitUntil(async () => (await seen()).includes(last), { what: `the page has entry ${last}` });
    expect(await seen()).toEqual(Array.from({ length: last }, (_, i) => i + 1));
  };

  test('reads answers, errors and the headers that it needs', async () => {
    const page = await visit();
    const token = await service().token('alice');
    const headers = { authorization: `Bearer ${token}`, 'idempotency-key': randomUUID(), traceparent: '00-0-0-00' };
    const id = newConversationId();
    const body = JSON.stringify({ id, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
    const json = { ...headers, 'content-type': 'application/json' };
    const created = await ask(page, '/v1/conversations', { method: 'POST', headers: json, body });
    expect(created).toMatchObject({ status: 201, headers: { location: `/v1/conversations/${id}` } });
    for (const name of ['x-request-id', 'ratelimit', 'ratelimit-policy']) expect(created.headers).toHaveProperty(name);
    const epoch = await ask(page, `/v1/conversations/${id}/epoch`, { headers });
    const { etag = '' } = epoch.headers;
    // Its cache would answer itself.
    const again = { cache: 'no-store', headers: { ...headers, 'if-none-match': etag } };
    expect((await ask(page, `/v1/conversations/${id}/epoch`, again)).status).toBe(304);
    const large = { method: 'POST', headers: json, body: ' '.repeat(300 * 1024) };
    for (const [target, init, status] of [
      ['/v1/devices', {}, 401],
      ['/v1/devices', { headers: { authorization: 'Bearer x.y.z' } }, 401],
      ['/v1/nowhere', { headers }, 404],
      ['/v1/conversations', { headers, method: 'PUT' }, 405],
      ['/v1/ack', large, 413],
    ] as const) {
      const answer = await ask(page, target, init);
      expect(answer.status, target).toBe(status);
      expect(JSON.parse(answer.body)).toMatchObject({ status });
    }
  });

  test('is refused where its origin is not allowed', async () => {
    const page = await visit(stranger);
    await expect(ask(page, '/health')).rejects.toThrow('Failed to fetch');
    const id = await create('alice');
    const { ticket } = await service().clientOf('alice').streamTicket(`/v1/conversations/${id}/events`);
    const opened = `new Promise((resolve) => {
      const source = new EventSource(${JSON.stringify(`${url}/v1/conversations/${id}/events?ticket=${ticket}`)});
      source.onopen = () => resolve('open');
      source.onerror = () => resolve(source.readyState);
    })`;
    expect(await page.evaluate(opened)).toBe(2);
  });

  test('EventSource resumes by itself: nothing is lost or doubled when the connection is cut and the API restarts', async () => {
    const page = await visit();
    const opened: string[] = [];
    page.on('request', (request) => opened.push(request.url().replace(url, '')));
    const id = await create('alice');
    await say('alice', id);
    await call(page, 'follow', { service: url, conversation: id, token: await service().token('alice'), after: 0 });
    await untilSeen(page, 1);
    const streams = (): string[] => opened.filter((target) => target.includes('/events'));
    const [first] = streams();

    line.cut();
    await untilSeen(page, await say('alice', id));
    // To another process, while the first one is dead.
    await service().apis[0]?.kill9();
    await say('alice', id, 1);
    line.retarget(new URL(service().apis[1]?.url ?? '').host);
    await untilSeen(page, await say('alice', id, 1));
    // And from a process that shuts down in good order to a new one.
    await service().replace('api', 0);
    line.retarget(new URL(service().apis[0]?.url ?? '').host);
    await service().apis[1]?.stop();
    await untilSeen(page, await say('alice', id));

    // All with the first ticket, at the same address.
    expect(streams().length).toBeGreaterThanOrEqual(4);
    expect(new Set(streams())).toEqual(new Set([first]));
    expect(opened.filter((target) => target === '/v1/stream-tickets')).toHaveLength(1);
    expect(await page.evaluate('ends')).toEqual([]);
  });

  test('a page whose ticket has died with its token gets a new one, and goes on', async () => {
    const page = await visit();
    const id = await create('alice');
    await say('alice', id);
    const tickets: string[] = [];
    page.on('request', (request) => {
      if (request.method() === 'POST') tickets.push(request.url());
    });
    await call(page, 'follow', { service: url, conversation: id, token: await service().token('alice'), after: 0 });
    await untilSeen(page, 1);
    await service().pool.query('update stream_ticket set expires_at = now(), token_expires_at = now()');
    line.cut();
    await untilSeen(page, await say('alice', id));
    expect(tickets).toHaveLength(2);
  });

  test('the packed client library makes a group and exchanges messages between two pages', async () => {
    const [alice, bob] = [await visit(), await visit()];
    const open = async (page: Page, user: string): Promise<void> => {
      const token = await service().token(user, { device: 'web' });
      await page.evaluate(
        `open(${JSON.stringify({ service: url, user, device: 'web', token })}).then(() => undefined)`,
      );
    };
    const [first, second] = [`alice-${randomUUID()}`, `bob-${randomUUID()}`];
    await open(alice, first);
    await open(bob, second);
    const id = await alice.evaluate<string>('mls.createGroup().then(({ id }) => id)');
    await alice.evaluate(`mls.invite(${JSON.stringify(id)}, ${JSON.stringify(second)}).then(() => undefined)`);
    const group = `mls.groups.get(${JSON.stringify(id)})`;
    await waitUntil(() => bob.evaluate<boolean>(`${group} !== undefined`), { what: 'bob joins' });
    const textsOf = (page: Page): Promise<string[]> => page.evaluate('texts');
    const send = (page: Page, text: string): Promise<unknown> =>
      page.evaluate(`${group}.send(${JSON.stringify(text)}).then(() => undefined)`);
    await send(alice, 'hello bob');
    await waitUntil(async () => (await textsOf(bob)).includes(`${first}: hello bob`), { what: 'bob reads' });
    await send(bob, 'hello alice');
    await waitUntil(async () => (await textsOf(alice)).includes(`${second}: hello alice`), { what: 'alice reads' });
    expect(await alice.evaluate(`${group}.epochAuthenticator`)).toBe(await bob.evaluate(`${group}.epochAuthenticator`));

    // A second tab of the same profile waits for the first, and goes on from the same state.
    const tab = await bob.context().newPage();
    await tab.goto(origin);
    const opening = open(tab, second);
    const locks = (): Promise<{ pending: unknown[] }> => tab.evaluate('navigator.locks.query()');
    await waitUntil(async () => (await locks()).pending.length === 1, { what: 'the tab waits for the device' });
    await bob.close();
    await opening;
    await send(alice, 'still there?');
    await waitUntil(async () => (await textsOf(tab)).includes(`${first}: still there?`), { what: 'the tab reads' });
    expect(await tab.evaluate(`${group}.history.map(({ text }) => text)`)).toEqual(
      expect.arrayContaining(['hello bob', 'hello alice', 'still there?']),
    );
  });
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Puts the packed client library into a project, as an app has it, and bundles the code of the how-to with it. */
async function bundlePage(folder: string): Promise<string> {
  await newProject(folder, await packClient(folder));
  const code = blocksOf(read('docs/how-to/browser.md')).filter(({ language }) => language === 'js');
  const entry = path.join(folder, 'page.js');
  writeFileSync(entry, [...code.map(({ text }) => text), GLUE].join('\n'));
  const warnings: string[] = [];
  const build = await rolldown({
    input: entry,
    cwd: folder,
    platform: 'browser',
    onLog: (level, { message }) => {
      if (level === 'warn') warnings.push(message);
    },
  });
  const { output } = await build.generate({ format: 'esm', codeSplitting: false });
  await build.close();
  expect(warnings).toEqual([]);
  return output[0].code;
}

/** A site with one page, whose policy is that of the how-to. */
async function serve(script: () => string): Promise<[Server, string]> {
  const policy = `default-src 'none'; script-src 'self'; connect-src 'self' http://127.0.0.1:*; base-uri 'none'; form-action 'none'`;
  const server = createServer((request, response) => {
    response.setHeader('content-security-policy', policy);
    if (request.url === '/page.js') response.setHeader('content-type', 'text/javascript').end(script());
    else if (request.url === '/') {
      response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><script type="module" src="/page.js"></script>');
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return [server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`];
}
