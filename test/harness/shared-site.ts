import { writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { rolldown } from 'rolldown';

const LIBRARY = path.resolve('client');

/** What the page of an app is: its chat, with everything that it is told. */
const PAGE = `
  import { indexedDbStore, openSharedChat } from '${LIBRARY}/index.ts';
  import { tsMls } from '${LIBRARY}/ts-mls/index.ts';
  globalThis.told = [];
  globalThis.open = async () => {
    const { service, token, user } = await (await fetch('/session')).json();
    const store = await indexedDbStore(user);
    const chat = await openSharedChat({ mls: tsMls, url: service, token: () => token, user, name: user, store, keyPackages: 3 });
    for (const name of ['message', 'ended']) chat.on(name, (what) => told.push({ name, what }));
    globalThis.chat = chat;
    return chat.device;
  };
  globalThis.write = async (conversation, id) => {
    console.log('asked ' + id);
    await chat.send(conversation, id, { id });
    console.log('promised ' + id);
  };
  globalThis.register = async () => {
    await navigator.serviceWorker.register('/worker.js', { type: 'module' });
    await navigator.serviceWorker.ready;
  };
`;

/** The service worker of the app, which shows what is new. */
const WORKER = `
  import { indexedDbStore, wakeUp } from '${LIBRARY}/index.ts';
  import { tsMls } from '${LIBRARY}/ts-mls/index.ts';
  self.addEventListener('install', () => self.skipWaiting());
  const show = async () => {
    const { service, token, user } = await (await fetch('/session')).json();
    const store = await indexedDbStore(user);
    const messages = await wakeUp({ mls: tsMls, url: service, token: () => token, user, name: user, store, keyPackages: 3 });
    const wakes = await caches.open('wakes');
    const count = (await wakes.keys()).length;
    // The shell without a head has no place where a notification is shown: the test reads what the worker had to show.
    const lines = messages?.map(({ sender, text }) => sender + ': ' + text) ?? ['left to a tab'];
    await wakes.put('/wake/' + count, new Response(lines.join()));
    for (const { sender, text, id } of messages ?? []) await self.registration.showNotification(sender, { body: text, tag: id });
  };
  self.addEventListener('push', (event) => event.waitUntil(show()));
`;

/** Who is signed in at the site. */
export interface SiteSession {
  readonly service: string;
  readonly token: string;
  readonly user: string;
}

export interface SharedSite {
  readonly origin: string;
  readonly close: () => void;
}

/** The site of an app whose tabs and service worker share one device. @param folder for its bundles */
export async function startSharedSite(folder: string, session: () => SiteSession): Promise<SharedSite> {
  const scripts = new Map([
    ['/page.js', await bundle(path.join(folder, 'page.js'), PAGE)],
    ['/worker.js', await bundle(path.join(folder, 'worker.js'), WORKER)],
  ]);
  const server: Server = createServer((request, response) => {
    const { url = '/' } = request;
    const script = scripts.get(url);
    if (script !== undefined) response.setHeader('content-type', 'text/javascript').end(script);
    else if (url === '/session') {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(session()));
    } else if (url === '/') {
      response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><title>chat</title><script type="module" src="/page.js"></script>');
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

async function bundle(file: string, code: string): Promise<string> {
  writeFileSync(file, code);
  const build = await rolldown({ input: file, platform: 'browser' });
  const { output } = await build.generate({ format: 'esm', codeSplitting: false });
  await build.close();
  return output[0].code;
}
