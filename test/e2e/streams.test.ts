import { randomBytes, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { createParser } from 'eventsource-parser';
import pg from 'pg';
import { createCleanup } from '../../process/cleanup.ts';
import type { SendResult, ParleyClient } from '../../client/index.ts';
import { toBase64, toBase64Url } from '../../client/index.ts';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { useDatabase } from '../harness/database.ts';
import { print } from '../harness/print.ts';
import { useService } from '../harness/service.ts';
import { type EventStream, entriesOf, openEventStream, seqsOf, signalsOf } from '../../tools/harness/event-stream.ts';
import { tokenOf } from '../../tools/harness/tokens.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { spend, tryUntil, waitUntil } from '../../tools/harness/wait-until.ts';

vi.setConfig({ testTimeout: 180_000 });

/** Long enough on shared cores, short enough for the test that waits for it. */
const SLOW_MS = 2000;

const NORMAL_APIS = 2;
const cleanup = createCleanup();
const database = useDatabase();
let behindProxy = '';
let proxy: TcpProxy | undefined;
beforeAll(async () => {
  proxy = await startTcpProxy(new URL(database().url).host);
  // NotificationResponse, on a connection that carries little else.
  proxy.inspect((direction, chunk) =>
    direction === 'answer' && chunk[0] === 'A'.charCodeAt(0) && chunk.includes('parley_entries') ? 'drop' : 'pass',
  );
  const url = new URL(database().url);
  url.host = proxy.address;
  behindProxy = url.href;
});
afterAll(() => proxy?.close());
const service = useService(
  () => ({
    apis: NORMAL_APIS + 1,
    workers: 1,
    env: { STREAM_SLOW_MS: String(SLOW_MS) },
    apiEnv: [{}, {}, { DATABASE_URL: behindProxy }],
  }),
  database,
);
/** The notifications of the last API process are lost on the way: its streams get their news from the poll. */
const deafUrl = (): string => service().apis[NORMAL_APIS]?.url ?? '';
let idle: EventStream | undefined;

const urlOf = (index: number): string => service().apis[index % NORMAL_APIS]?.url ?? '';
const as = (user: string, index = 0): ParleyClient => service().clientOf(user, { api: index % NORMAL_APIS });
const say = (conversation: string, user: string, index = 0, bytes = 40): Promise<SendResult> =>
  as(user, index).send(conversation, { id: randomUUID(), ciphertext: toBase64(randomBytes(bytes)) });

async function create(...users: string[]): Promise<string> {
  const id = toBase64Url(randomBytes(18));
  const [creator = '', ...members] = users;
  await as(creator).createConversation({ id, protocol: 'opaque', members, policy: { externalJoin: 'nobody' } });
  return id;
}

/** Opens a stream that the end of the file closes. */
async function open(
  conversation: string,
  user: string,
  from: Parameters<typeof openEventStream>[3] = {},
  url = urlOf(0),
): Promise<EventStream> {
  const stream = await openEventStream(url, conversation, await tokenOf(user), from);
  cleanup.add('stream', stream.close);
  return stream;
}

async function untilEnd(stream: EventStream, timeoutMs = 30_000): Promise<void> {
  await waitUntil(() => stream.endedAt() !== undefined, { what: 'the stream ends', timeoutMs });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

beforeAll(async () => {
  idle = await open(await create('alice'), 'alice');
});

afterAll(() => cleanup.run());

test('streams are gap-free and in order from wherever they start, under concurrent sends through two API processes (invariant 5)', async () => {
  const senders = ['alice', 'bob', 'carol', 'dave'];
  const conversation = await create(...senders);
  for (let i = 0; i < 20; i++) await say(conversation, 'alice', i);
  const expectedFirst = new Map<EventStream, number>();
  const start = async (from: { after?: number; lastEventId?: number }, first: number, index: number): Promise<void> => {
    expectedFirst.set(await open(conversation, 'bob', from, urlOf(index)), first);
  };

  const sending = senders.map(async (user, i) => {
    for (let n = 0; n < 60; n++) await say(conversation, user, i + n);
  });
  for (const index of [0, 1]) {
    await start({}, 1, index);
    await start({ after: 0 }, 1, index);
    await start({ after: 7 }, 8, index);
    await start({ lastEventId: 13 }, 14, index);
    // The header wins: clients send it by themselves when they resume.
    await start({ after: 2, lastEventId: 19 }, 20, index);
  }
  await Promise.all(sending);
  const lastSeq = 20 + senders.length * 60;
  const { entries } = await as('bob').log(conversation, { after: 0, limit: 1000 });
  expect(entries.map(({ seq }) => seq)).toEqual(range(1, lastSeq));
  for (const [stream, first] of expectedFirst) {
    await waitUntil(() => seqsOf(stream).at(-1) === lastSeq, { what: 'the stream has everything' });
    expect(seqsOf(stream)).toEqual(range(first, lastSeq));
    // The first entry of a stream also says from what its value follows, as the first of a page does.
    const sent = entriesOf(stream).map(({ chainBefore: _, ...entry }) => entry);
    expect(sent).toEqual(entries.slice(first - 1).map(({ chainBefore: _, ...entry }) => entry));
    expect(stream.events.every(({ event, id }) => (event === 'entry') === (id !== undefined))).toBe(true);
    stream.close();
  }
});

test('a reader that is cut off again and again and resumes at either API process misses nothing and gets nothing twice (invariant 5)', async () => {
  const conversation = await create('alice', 'bob');
  const sending = (async () => {
    for (let n = 0; n < 150; n++) await say(conversation, 'alice', n);
  })();
  const seen: number[] = [];
  for (let turn = 0; seen.at(-1) !== 150; turn++) {
    const stream = await open(conversation, 'bob', { lastEventId: seen.at(-1) ?? 0 }, urlOf(turn));
    const enough = 1 + Math.floor(Math.random() * 20);
    await waitUntil(() => stream.events.length >= enough || seqsOf(stream).at(-1) === 150, {
      what: 'entries come',
    });
    stream.close();
    seen.push(...seqsOf(stream));
  }
  await sending;
  expect(seen).toEqual(range(1, 150));
});

test('`after=latest` delivers only entries that come after the opening', async () => {
  const conversation = await create('alice', 'bob');
  for (let i = 0; i < 5; i++) await say(conversation, 'alice');
  const stream = await open(conversation, 'bob', { after: 'latest' });
  await say(conversation, 'alice', 1);
  await say(conversation, 'alice', 0);
  await waitUntil(() => stream.events.length >= 2, { what: 'two entries came' });
  expect(seqsOf(stream)).toEqual([6, 7]);
});

test('an outsider gets 404 `not-found` before the first byte of a stream, as for a conversation that does not exist', async () => {
  const conversation = await create('alice', 'bob');
  const answers = await Promise.all([open(conversation, 'mallory'), open(toBase64Url(randomBytes(18)), 'mallory')]);
  for (const answer of answers) {
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    await untilEnd(answer);
    expect(JSON.parse(answer.text())).toMatchObject({ code: 'not-found', status: 404 });
  }
});

test('a removed member gets the removing commit, `removed` with its seq, and the end (invariant 8)', async () => {
  const conversation = await create('alice', 'bob', 'carol');
  await say(conversation, 'alice');
  const streams = await Promise.all([open(conversation, 'bob', {}, urlOf(0)), open(conversation, 'bob', {}, urlOf(1))]);
  const stays = await open(conversation, 'carol');
  const { seq } = await as('alice').removeMember(conversation, 'bob');
  const removedAt = performance.now();
  await say(conversation, 'alice');
  for (const stream of streams) {
    await untilEnd(stream);
    expect(seqsOf(stream)).toEqual([1, seq]);
    expect(entriesOf(stream).at(-1)).toMatchObject({ kind: 'commit', seq });
    expect(signalsOf(stream)).toEqual([{ event: 'removed', data: { seq } }]);
    print(`stream of a removed member closed ${Math.round((stream.endedAt() ?? 0) - removedAt)} ms after the answer`);
  }
  await waitUntil(() => seqsOf(stays).length === 3, { what: 'the others read on' });
  expect(stays.endedAt()).toBeUndefined();

  const again = await open(conversation, 'bob');
  await untilEnd(again);
  expect(seqsOf(again)).toEqual([1, seq]);
  expect(signalsOf(again)).toEqual([{ event: 'removed', data: { seq } }]);
});

test('the stream of a removed member closes by the poll alone when every notification is lost (invariant 8)', async () => {
  const conversation = await create('alice', 'bob');
  await say(conversation, 'alice');
  const stream = await open(conversation, 'bob', {}, deafUrl());
  await waitUntil(() => seqsOf(stream).length === 1, { what: 'the stream is live' });
  const { seq } = await as('alice').removeMember(conversation, 'bob');
  const removedAt = performance.now();
  await untilEnd(stream);
  expect(seqsOf(stream)).toEqual([1, seq]);
  expect(signalsOf(stream)).toEqual([{ event: 'removed', data: { seq } }]);
  print(`without notifications closed ${Math.round((stream.endedAt() ?? 0) - removedAt)} ms after the answer`);
});

test('entries arrive and removals close streams after the listening sessions were terminated (invariants 5 and 8)', async () => {
  const conversation = await create('alice', 'bob');
  const streams = await Promise.all([open(conversation, 'bob', {}, urlOf(0)), open(conversation, 'bob', {}, urlOf(1))]);
  const admin = new pg.Client({ connectionString: database().url });
  await admin.connect();
  const { rowCount } = await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'parley-listen' and datname = current_database()`,
  );
  await admin.end();
  expect(rowCount).toBeGreaterThanOrEqual(2);
  for (let i = 0; i < 10; i++) await say(conversation, 'alice', i);
  const { seq } = await as('alice').removeMember(conversation, 'bob');
  const removedAt = performance.now();
  for (const stream of streams) {
    await untilEnd(stream);
    expect(seqsOf(stream)).toEqual(range(1, seq));
    expect(signalsOf(stream)).toEqual([{ event: 'removed', data: { seq } }]);
    print(
      `listening session terminated: closed ${Math.round((stream.endedAt() ?? 0) - removedAt)} ms after the answer`,
    );
  }
});

test('leaving without an entry ends the own streams of the user too, also by the poll alone (invariant 8)', async () => {
  const conversation = await create('alice', 'bob');
  await say(conversation, 'alice');
  const streams = await Promise.all([open(conversation, 'bob'), open(conversation, 'bob', {}, deafUrl())]);
  await waitUntil(() => streams.every((stream) => seqsOf(stream).length === 1), { what: 'the streams are live' });
  const { seq } = await as('bob').removeMember(conversation, 'bob');
  const leftAt = performance.now();
  expect(seq).toBe(1);
  for (const stream of streams) {
    await untilEnd(stream);
    expect(seqsOf(stream)).toEqual([1]);
    expect(signalsOf(stream)).toEqual([{ event: 'removed', data: { seq } }]);
    print(`stream of one who left closed ${Math.round((stream.endedAt() ?? 0) - leftAt)} ms after the answer`);
  }
});

test('a member who was removed and added again reads its membership intervals and nothing in between (invariant 8)', async () => {
  const conversation = await create('alice', 'bob');
  await say(conversation, 'alice');
  const removal = await as('alice').removeMember(conversation, 'bob');
  await say(conversation, 'alice');
  await say(conversation, 'alice');
  const addition = await as('alice').addMembers(conversation, ['bob']);
  await say(conversation, 'alice');
  const readable = [...range(1, removal.seq), ...range(addition.seq, addition.seq + 1)];
  expect(readable).toEqual([1, 2, 5, 6]);

  const streams = await Promise.all([
    open(conversation, 'bob'),
    open(conversation, 'bob', { after: 0 }, deafUrl()),
    open(conversation, 'bob', { lastEventId: 3 }),
  ]);
  await say(conversation, 'alice');
  for (const stream of streams) {
    await waitUntil(() => seqsOf(stream).at(-1) === 7, { what: 'the live entry comes' });
  }
  expect(streams.map(seqsOf)).toEqual([
    [1, 2, 5, 6, 7],
    [1, 2, 5, 6, 7],
    [5, 6, 7],
  ]);
});

test('a member who is removed and added again between two polls loses no entry of its membership intervals (invariants 5 and 8)', async () => {
  const conversation = await create('alice', 'bob');
  await say(conversation, 'alice');
  const stream = await open(conversation, 'bob', {}, deafUrl());
  await waitUntil(() => seqsOf(stream).length === 1, { what: 'the stream is live' });
  await as('alice').removeMember(conversation, 'bob');
  await say(conversation, 'alice');
  await as('alice').addMembers(conversation, ['bob']);
  await say(conversation, 'alice');
  // Either a poll saw the removal, and the stream ended, or it saw only that bob has two membership intervals.
  await waitUntil(() => stream.endedAt() !== undefined || seqsOf(stream).at(-1) === 5, { what: 'the poll has run' });
  expect(seqsOf(stream)).toEqual(stream.endedAt() === undefined ? [1, 2, 4, 5] : [1, 2]);
});

test('a stream ends with `removed` when its conversation is deleted, and is 404 from then on', async () => {
  const conversation = await create('alice', 'bob');
  await say(conversation, 'alice');
  const streams = await Promise.all([open(conversation, 'bob'), open(conversation, 'bob', {}, deafUrl())]);
  await waitUntil(() => streams.every((stream) => seqsOf(stream).length === 1), { what: 'the streams are live' });
  await as('alice').deleteConversation(conversation);
  for (const stream of streams) {
    await untilEnd(stream);
    expect(signalsOf(stream).map(({ event }) => event)).toEqual(['removed']);
  }
  expect((await open(conversation, 'bob')).status).toBe(404);
});

test('a stream ends with its token, and an expired token opens none', async () => {
  const conversation = await create('alice');
  await say(conversation, 'alice');
  // On a slow machine a short token may end before its stream has begun.
  let expiring = '';
  const stream = await tryUntil(
    async () => {
      expiring = await tokenOf('alice', { expiresIn: '3s' });
      const opened = await openEventStream(urlOf(0), conversation, expiring);
      expect(opened.status).toBe(200);
      await untilEnd(opened);
      expect(seqsOf(opened)).toEqual([1]);
      return opened;
    },
    { what: 'a stream begins before its token ends', timeoutMs: 60_000 },
  );
  expect(signalsOf(stream)).toEqual([{ event: 'reconnect', data: {} }]);
  expect((await openEventStream(urlOf(0), conversation, expiring)).status).toBe(401);
});

test('an API process that stops ends every stream with `reconnect`, and the reader continues at another process', async () => {
  const conversation = await create('alice', 'bob');
  const api = await service().addApi();
  const stream = await open(conversation, 'bob', {}, api.url);
  await say(conversation, 'alice');
  await waitUntil(() => seqsOf(stream).length === 1, { what: 'the stream is live' });
  expect(await api.stop()).toBe(0);
  await untilEnd(stream);
  expect(signalsOf(stream)).toEqual([{ event: 'reconnect', data: {} }]);
  await say(conversation, 'alice');
  const next = await open(conversation, 'bob', { lastEventId: 1 }, urlOf(1));
  await waitUntil(() => seqsOf(next).length === 1, { what: 'the next entry comes' });
  expect(seqsOf(next)).toEqual([2]);
});

test('the stream of a reader that stops reading ends, and the entries until then have no gap (invariant 5)', async () => {
  const conversation = await create('alice', 'bob');
  const { host, hostname, port } = new URL(urlOf(0));
  const socket = connect({ host: hostname, port: Number(port) });
  const token = await tokenOf('bob');
  socket.write(
    `GET /v1/conversations/${conversation}/events HTTP/1.0\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`,
  );
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  // More than the socket buffers of both sides hold.
  const count = 40;
  for (let n = 0; n < count; n++) await say(conversation, 'alice', 1, 700_000);
  await waitUntil(async () => (await closedStreams(urlOf(0), 'slow-consumer')) === 1, {
    what: 'the service ends the stream of the slow reader',
    timeoutMs: 60_000,
  });

  const seen: number[] = [];
  const signals: (string | undefined)[] = [];
  const parser = createParser({
    onEvent: ({ event, id }) => {
      if (event === 'entry') seen.push(Number.parseInt(id ?? '', 10));
      else signals.push(event);
    },
  });
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => parser.feed(String(chunk)));
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => (isClosed = true));
  socket.resume();
  await waitUntil(() => isClosed, { what: 'the connection ends' });
  print(`slow reader: ${seen.length} of ${count} entries, then ${signals.join(', ') || 'cut off'}`);
  expect(seen).toEqual(range(1, seen.length));
  expect(seen.length).toBeLessThan(count);
  expect(['', 'slow-consumer']).toContain(signals.join());

  const resumed = await open(conversation, 'bob', { lastEventId: seen.length }, urlOf(1));
  // What counts is looked at once it is there: to parse all of it again and again would make this reader a slow one.
  await waitUntil(() => resumed.events.length >= count - seen.length || resumed.endedAt() !== undefined, {
    what: 'the rest comes',
    timeoutMs: 60_000,
  });
  expect(seqsOf(resumed)).toEqual(range(seen.length + 1, count));
});

test('readers that go away while their stream is being opened leave nothing behind', async () => {
  const conversation = await create('alice', 'bob');
  const token = await tokenOf('bob');
  const { host, hostname, port } = new URL(urlOf(1));
  const before = await openStreams(urlOf(1));
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on('error', () => undefined);
      const request = `GET /v1/conversations/${conversation}/events HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
      await new Promise<void>((resolve) => socket.write(request, () => resolve()));
      // Some go away before the request is read, some during the look-up of the membership, some later.
      await spend(i / 10);
      socket.resetAndDestroy();
    }),
  );
  for (let i = 0; i < 5; i++) await say(conversation, 'alice', 1);
  await waitUntil(async () => (await openStreams(urlOf(1))) <= before, { what: 'no stream is left open' });
  expect(
    service()
      .apis.slice(0, NORMAL_APIS)
      .every((api) => api.isRunning()),
  ).toBe(true);
});

test('a stream without events gets comments as heartbeats', async () => {
  await waitUntil(() => (idle?.comments() ?? 0) >= 1, { what: 'a heartbeat comes', timeoutMs: 20_000 });
  expect(idle?.events).toEqual([]);
  expect(idle?.endedAt()).toBeUndefined();
});

async function metric(url: string, pattern: RegExp): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(pattern.exec(text)?.[1] ?? 0);
}

function closedStreams(url: string, reason: string): Promise<number> {
  return metric(url, new RegExp(`^parley_streams_closed_total\\{reason="${reason}"\\} (\\d+)$`, 'm'));
}

function openStreams(url: string): Promise<number> {
  return metric(url, /^parley_open_streams (\d+)$/m);
}
