import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { read } from '../../harness/markdown.ts';
import { useService } from '../../harness/service.ts';
import type * as library from '../../harness/whole-client.ts';

// Fills the table of this page (COMPATIBILITY=write), or fails when the table says something else.
const PAGE = 'docs/reference/client-compatibility.md';
const RELEASED = 'test/fixtures/clients';
const BUILT = 'what is built';
const WORKS = 'works';

/** Before 0.3.0 the library has ts-mls inside, and leaves out that export and that option. */
type Library = typeof library;

const service = useService({ apis: 1, workers: 1 });

async function load(file: string): Promise<Library> {
  return (await import(/* @vite-ignore */ pathToFileURL(path.join(packageRoot(), file)).href)) as Library;
}

const loadBuilt = (): Promise<Library> => load('dist/test/harness/whole-client.js');

/** What becomes of a short conversation of two people who both have this library: `works`, or the first thing that does not. */
async function outcomeOf({ createHttp, MlsDevice, ParleyClient, tsMls }: Library, name: string): Promise<string> {
  const open = (person: string): ReturnType<typeof MlsDevice.open> => {
    const [user, device] = [`${person} with ${name}`, 'phone'];
    const token = (): Promise<string> => service().token(user, { device });
    const api = new ParleyClient(createHttp({ baseUrl: service().apis[0]?.url ?? '', token }));
    return MlsDevice.open({ mls: tsMls, api, user, device, keyPackages: 3 });
  };
  const stop = new AbortController();
  let following: Promise<void> | undefined;
  let step = 'open a device';
  try {
    const alice = await open('alice');
    const bob = await open('bob');
    step = 'create a conversation';
    const ofAlice = await alice.createGroup();
    step = 'invite';
    await alice.invite(ofAlice.id, bob.user);
    step = 'join';
    await bob.joinGroups();
    const ofBob = bob.group(ofAlice.id);
    step = 'send';
    await ofBob.send('hello');
    step = 'read';
    expect(await ofAlice.receive()).toMatchObject([{ sender: bob.user, text: 'hello' }]);
    step = 'follow the stream';
    const heard: string[] = [];
    const failures: unknown[] = [];
    const onError = (error: unknown): void => void failures.push(error);
    const onMessage: library.MessageListener = (_group, { text }) => void heard.push(text);
    following = bob.run({ signal: stop.signal, onMessage, onError }).catch(onError);
    const untilFollowed = (what: string, condition: () => boolean): Promise<void> =>
      waitUntil(() => failures.length > 0 || condition(), { what }).then(() => expect(failures).toEqual([]));
    await ofAlice.send('live');
    await untilFollowed('the stream brings the message', () => heard.includes('live'));
    step = 'remove a member';
    await ofAlice.remove(bob.user);
    await untilFollowed('the removed member is told', () => ofBob.isRemoved);
    return WORKS;
  } catch (error) {
    const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return `does not work: it cannot ${step} (${reason})`;
  } finally {
    stop.abort();
    await following;
  }
}

/** A table as the formatter writes it. */
function tableOf(rows: readonly (readonly [string, string, string])[]): string {
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |\n`);
  return lines.join('');
}

test('each released client, and the one that is built, fare with this service as the table says', async () => {
  const rows: [string, string, string][] = [['client', 'service', 'outcome']];
  for (const file of readdirSync(path.join(packageRoot(), RELEASED)).sort()) {
    if (!file.endsWith('.mjs')) continue;
    const release = path.basename(file, '.mjs');
    rows.push([release, BUILT, await outcomeOf(await load(path.join(RELEASED, file)), release)]);
  }
  rows.push([BUILT, BUILT, await outcomeOf(await loadBuilt(), BUILT)]);

  const page = read(PAGE);
  const [table = ''] = /^(?:\|.*\|\n)+/m.exec(page) ?? [];
  if (process.env.COMPATIBILITY === 'write') {
    writeFileSync(
      path.join(packageRoot(), PAGE),
      page.replace(table, () => tableOf(rows)),
    );
  } else {
    expect(table).toBe(tableOf(rows));
  }
});

test('the outcome of a client that the service refuses is the first thing that it cannot do', async () => {
  const built = await loadBuilt();
  const createHttp: Library['createHttp'] = (options) => {
    const { json, open } = built.createHttp(options);
    return {
      open,
      json: (method, url, options) =>
        method === 'POST' && url.endsWith('/messages')
          ? json(method, url, { ...options, body: { ...(options?.body as object), later: 1 } })
          : json(method, url, options),
    };
  };
  expect(await outcomeOf({ ...built, createHttp }, 'a client of the future')).toMatch(
    /^does not work: it cannot send \(400 malformed: .*later/,
  );
});
