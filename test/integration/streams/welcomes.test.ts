import { type Socket, connect } from 'node:net';
import { createHttp, ParleyClient } from '../../../client/index.ts';
import { listen } from '../../../store/log/notifications.ts';
import { expect, test } from 'vitest';
import { base64 } from '../../harness/api/conversations.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { type Replica, startReplica, useReplicas } from '../../harness/streams/replica.ts';
import { delivered, wordsOf } from '../../harness/streams/delivered.ts';

const MB = 1024 * 1024;
/** Two of them fill a page. */
const LARGE = 3 * MB;
/** Two of them fit in a page. */
const HALF_A_PAGE = 0.4 * MB;
const LARGE_COUNT = 5;
const SLOW_MS = 1500;

const {
  database,
  talk,
  replicas: [one],
} = useReplicas({ slowMs: SLOW_MS });

/** Invites a user to a conversation of its own. @param by who has room for it in the user's inbox @returns its id */
async function invite(user: string, bytes: number, by = 'ann'): Promise<string> {
  const conversation = await talk.create(by);
  const body = { commit: base64('commit'), adds: [user], welcome: base64(Buffer.alloc(bytes, 1)) };
  await talk.expect(`POST /v1/conversations/${conversation}/commits`, by, body);
  return conversation;
}

/**
 * Makes conversations and waits until they are old news for streams that open from now on. A stream takes up a new
 * conversation as soon as it hears of it, beside the pages of Welcomes that it still reads. It hears of it by a
 * notification, which may come late, or by its poll of the additions of the last seconds.
 * @param make returns the ids, each with a first entry
 */
async function untilOld(make: () => Promise<readonly string[]>): Promise<void> {
  const heard = new Set<string>();
  const listener = listen(
    { url: database().url },
    {
      onEntry: (conversation, lastSeq) => {
        if (lastSeq >= 1) heard.add(conversation);
      },
      onSetting: () => undefined,
      onConnect: () => undefined,
      onError: () => undefined,
    },
  );
  try {
    await waitUntil(listener.connected, { what: 'the test listens' });
    const made = await make();
    await waitUntil(() => made.every((id) => heard.has(id)), { what: 'every conversation is notified' });
    await database().pool.query(`update change set at = at - interval '1 minute'`);
  } finally {
    await listener.close();
  }
}

/** A stream whose reader took its HTTP head, and nothing since. */
async function openPaused(replica: Replica, user: string): Promise<Socket> {
  const { host, hostname, port } = new URL(replica.service.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  const token = await tokenOf(user);
  socket.write(`GET /v1/events HTTP/1.0\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await new Promise((resolve) => socket.once('readable', resolve));
  return socket;
}

test('Welcomes come in pages of a megabyte; the client library reads all pages; without a cursor the rest comes after an acknowledgement', async () => {
  const invited: string[] = [];
  for (let i = 0; i < LARGE_COUNT; i++) invited.push(await invite('ben', HALF_A_PAGE, `ann-${i}`));
  const api = new ParleyClient(createHttp({ baseUrl: one.service.url, token: () => tokenOf('ben') }));
  const all = await api.welcomes();
  expect(all.map(({ conversation }) => conversation)).toEqual(invited);
  const first = await api.welcomesPage();
  expect(first.welcomes).toEqual(all.slice(0, 2));
  expect((await api.welcomesPage({ limit: 1 })).welcomes).toEqual(all.slice(0, 1));
  for (const { id } of first.welcomes) await api.ackWelcome(id);
  const second = await api.welcomesPage();
  expect(second.welcomes).toEqual(all.slice(2, 4));
  const last = await api.welcomesPage({ cursor: second.next ?? '' });
  expect(last).toEqual({ welcomes: all.slice(4) });
  // A stream delivers all of them too.
  const stream = await one.follow('ben');
  await waitUntil(() => delivered(stream).filter(({ event }) => event === 'welcome').length === 3, {
    what: 'all are delivered',
  });
  const malformed = await one.service.ask(`GET /v1/welcomes?cursor=${base64('no id')}`, { user: 'ben' });
  expect([malformed.status, malformed.body.code]).toEqual([400, 'malformed']);
});

test('a Welcome is delivered on every stream, also after many Welcomes of deleted conversations', async () => {
  for (let i = 0; i < 25; i++) {
    await talk.expect(`DELETE /v1/conversations/${await invite('cat', 1)}`, 'ann', {});
  }
  const conversation = await invite('cat', 1);
  await talk.ack('cat', undefined, { [conversation]: 1 });
  const stream = await one.follow('cat');
  await waitUntil(() => wordsOf(stream, conversation).includes('welcome 1'), { what: 'it is delivered' });
});

test('Welcomes wait in the database for a reader that does not keep up', async () => {
  const invited: string[] = [];
  await untilOld(async () => {
    for (let i = 0; i < LARGE_COUNT; i++) invited.push(await invite('dan', LARGE, `ann-${i}`));
    return invited;
  });
  const patient = await startReplica(database(), { slowMs: 600_000 });
  try {
    const socket = await openPaused(patient, 'dan');
    let text = '';
    await waitUntil(() => socket.readableLength > 0, { what: 'the first Welcome begins' });
    // More bytes than all buffers on the way can hold are before it.
    const api = new ParleyClient(createHttp({ baseUrl: one.service.url, token: () => tokenOf('dan') }));
    const last = (await api.welcomes()).at(-1);
    await api.ackWelcome(last?.id ?? '');
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    // Conversations come after all Welcomes.
    await waitUntil(() => text.includes(`"${last?.conversation}","change":"new"`), { what: 'the stream continues' });
    const welcomed = [...text.matchAll(/event: welcome\ndata: \{"id":"[^"]*","conversation":"([^"]*)"/g)];
    expect(welcomed.map(([, conversation]) => conversation)).toEqual(invited.slice(0, -1));
    socket.destroy();
  } finally {
    await patient.stop();
  }
});

test('a reader that makes progress is not treated as slow, also when a large event takes long', async () => {
  await invite('eve', 5.9 * MB);
  const socket = await openPaused(one, 'eve');
  let tail = '';
  let bytes = 0;
  const readSome = (): boolean => {
    const chunk = socket.read(Math.min(65_536, Math.max(1, socket.readableLength))) as Buffer | null;
    if (chunk !== null) {
      bytes += chunk.length;
      tail = (tail + chunk.toString('latin1')).slice(-100_000);
    }
    return socket.closed || tail.includes('event: member');
  };
  // Some 2 MB a second: the whole event takes longer than a reader may take nothing.
  await waitUntil(readSome, { what: 'the event is read', everyMs: 30, timeoutMs: 60_000 });
  expect([socket.closed, tail.includes('slow-consumer')]).toEqual([false, false]);
  expect(bytes).toBeGreaterThan(5.9 * MB);
  socket.destroy();
});
