import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, get } from 'node:http';
import { createParser } from 'eventsource-parser';
import { expect, onTestFinished, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import type { EventStream } from '../../../tools/harness/event-stream.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { delivered } from '../../harness/streams/delivered.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

const {
  database,
  talk,
  replicas: [here, there, patient],
} = useReplicas({}, {}, { slowMs: 600_000 });

/** Opens a stream of which nothing is read until it is resumed. */
async function openPaused(url: string, user: string): Promise<{ readonly resume: () => Pick<EventStream, 'events'> }> {
  const headers = { authorization: `Bearer ${await tokenOf(user)}` };
  const request = get(url, { agent: false, headers });
  onTestFinished(() => void request.destroy());
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  return {
    resume: () => {
      const events: EventStream['events'][number][] = [];
      const parser = createParser({ onEvent: (event) => events.push(event) });
      response.setEncoding('utf8').on('data', (chunk: string) => parser.feed(chunk));
      response.resume();
      return { events };
    },
  };
}

/** Signals and entries as they came: `a signal's data`, or the seq of an entry. */
function cameOver(stream: Pick<EventStream, 'events'>, conversation?: string): string[] {
  return delivered(stream).flatMap(({ event, data, seq, entry, conversation: of }) => {
    if (conversation !== undefined && of !== conversation) return [];
    if (event === 'signal') return [Buffer.from(String(data), 'base64').toString()];
    if (event === 'entry') return [String(entry?.seq ?? seq)];
    return event === 'removed' ? [event] : [];
  });
}

function signal(conversation: string, user: string, data: string | Buffer, through = here): Promise<Answer> {
  return through.service.ask(`POST /v1/conversations/${conversation}/signals`, { user, body: { data: base64(data) } });
}

/** A stream that has caught up: only then signals come over it. */
async function liveStream(conversation: string, user: string): Promise<EventStream> {
  const stream = await there.followOne(conversation, user);
  await waitUntil(
    async () => {
      await signal(conversation, user, 'first');
      return delivered(stream).length > 0;
    },
    { what: 'the stream is live' },
  );
  // Signals that are still on their way come before this one.
  await signal(conversation, user, 'last');
  await untilCame(stream, 'last');
  return stream;
}

const untilCame = (stream: EventStream, what: string, conversation?: string): Promise<void> =>
  waitUntil(() => cameOver(stream, conversation).includes(what), { what: `${what} comes` });

test('a signal comes to both kinds of streams of all members, in all processes, and has no place in the log', async () => {
  const conversation = await talk.create('alice', 'bob');
  const account = await there.follow('bob');
  const one = await there.followOne(conversation, 'bob');
  const own = await here.follow('alice', 'laptop');
  await talk.say(conversation, 'alice');
  for (const stream of [account, one, own]) await untilCame(stream, '1');
  expect((await signal(conversation, 'alice', 'typing')).status).toBe(202);
  for (const stream of [account, one, own]) await untilCame(stream, 'typing');
  expect(delivered(one).at(-1)).toEqual({ event: 'signal', data: base64('typing'), sender: 'alice' });
  expect(delivered(account).at(-1)).toMatchObject({ event: 'signal', conversation, sender: 'alice' });
  expect(one.events.at(-1)?.id).toBeUndefined();
  // Whoever comes later does not get it.
  await talk.say(conversation, 'bob');
  const late = await there.followOne(conversation, 'bob');
  await untilCame(late, '2');
  expect(cameOver(late)).toEqual(['1', '2']);
});

test('a signal comes after the entries before it, and never to whom those removed', async () => {
  const conversation = await talk.create('alice', 'bob', 'carol', 'dave');
  const [bob, carol, dave] = await Promise.all([
    there.follow('bob'),
    there.follow('carol'),
    there.followOne(conversation, 'dave'),
  ]);
  for (let i = 1; i <= 20; i++) {
    await talk.say(conversation, 'alice');
    await signal(conversation, 'alice', `after ${i}`);
  }
  await untilCame(bob, 'after 20', conversation);
  const came = cameOver(bob, conversation);
  for (let i = 1; i <= 20; i++) {
    const at = came.indexOf(`after ${i}`);
    if (at !== -1) expect(at).toBeGreaterThan(came.indexOf(String(i)));
  }
  // A leave without an entry leaves the end of the log where it is.
  await talk.remove(conversation, 'alice', 'carol');
  await here.service.ask(`DELETE /v1/conversations/${conversation}/members/dave`, { user: 'dave', body: {} });
  for (let i = 0; i < 5; i++) await signal(conversation, 'alice', `gone ${i}`);
  await untilCame(bob, 'gone 4', conversation);
  await untilCame(carol, 'removed', conversation);
  await untilCame(dave, 'removed');
  for (const stream of [carol, dave]) expect(cameOver(stream).filter((word) => word.startsWith('gone'))).toEqual([]);
});

test('who may not send a message may not send a signal', async () => {
  const conversation = await talk.create('alice', 'bob', 'carol');
  const seq = await talk.remove(conversation, 'alice', 'carol');
  expect(await signal(conversation, 'mallory', 'x')).toMatchObject({ status: 404, body: { code: 'not-found' } });
  expect(await signal(randomBytes(18).toString('base64url'), 'alice', 'x')).toMatchObject({ status: 404 });
  expect(await signal(conversation, 'carol', 'x')).toMatchObject({ status: 403, body: { code: 'removed', seq } });
  const successor = randomBytes(18).toString('base64url');
  expect(
    await here.service.ask(`POST /v1/conversations/${conversation}/reset`, { user: 'alice', body: { successor } }),
  ).toMatchObject({ status: 201 });
  expect(await signal(conversation, 'bob', 'x')).toMatchObject({
    status: 410,
    body: { code: 'superseded', successor },
  });
  await talk.expect(`DELETE /v1/conversations/${successor}`, 'alice');
  expect(await signal(successor, 'bob', 'x')).toMatchObject({ status: 404 });
});

test('the largest signal passes, one byte more does not', async () => {
  const conversation = await talk.create('alice', 'bób with spaces');
  const stream = await liveStream(conversation, 'alice');
  const largest = randomBytes(4096);
  expect((await signal(conversation, 'bób with spaces', largest)).status).toBe(202);
  await untilCame(stream, largest.toString());
  expect(delivered(stream).at(-1)).toEqual({ event: 'signal', data: base64(largest), sender: 'bób with spaces' });
  expect(await signal(conversation, 'alice', randomBytes(4097))).toMatchObject({
    status: 413,
    body: { code: 'too-large' },
  });
  expect(await signal(conversation, 'alice', randomBytes(9000))).toMatchObject({ status: 413 });
  expect(await signal(conversation, 'alice', '')).toMatchObject({ status: 400 });
});

test('in mls no MLSMessage is a signal, and no signal names its sender', async () => {
  const id = randomBytes(18).toString('base64url');
  await talk.expect('POST /v1/conversations', 'alice', { id, policy: { externalJoin: 'nobody' } });
  const stream = await liveStream(id, 'alice');
  for (const format of [1, 2, 3, 4, 5, 6]) {
    const refused = await signal(id, 'alice', Buffer.of(0, 1, 0, format, 1, 2, 3));
    expect(refused).toMatchObject({ status: 422, body: { code: 'wrong-content-type' } });
  }
  const other = Buffer.of(0, 2, 0, 1);
  expect((await signal(id, 'alice', other)).status).toBe(202);
  await untilCame(stream, other.toString());
  expect(delivered(stream).at(-1)).toEqual({ event: 'signal', data: base64(other) });
  // In opaque conversations the service looks at no bytes.
  const opaque = await talk.create('alice');
  expect((await signal(opaque, 'alice', Buffer.of(0, 1, 0, 2))).status).toBe(202);
});

test('nothing of a signal is stored, not even for its Idempotency-Key', async () => {
  const conversation = await talk.create('alice', 'bob');
  const { pool } = database();
  const rows = async (): Promise<string> => {
    const { rows: counts } = await pool.query<{ counts: string }>(
      `select string_agg(t.relname || ' ' || (xpath('/row/n/text()',
          query_to_xml('select count(*) as n from ' || t.relname, false, true, '')))[1], ', ' order by t.relname) as counts
       from pg_class t join pg_namespace s on s.oid = t.relnamespace where s.nspname = 'parley' and t.relkind = 'r'`,
    );
    return counts[0]?.counts ?? '';
  };
  const before = await rows();
  for (let i = 0; i < 3; i++) {
    const { status, headers } = await here.service.ask(`POST /v1/conversations/${conversation}/signals`, {
      user: 'alice',
      body: { data: base64(`secret ${i}`) },
      headers: { 'idempotency-key': `"${randomUUID()}"` },
    });
    expect([status, headers.get('idempotent-replayed')]).toEqual([202, null]);
  }
  expect(await rows()).toBe(before);
  expect(before).toMatch(/idempotency \d+, /);
});

test('a reader that takes nothing goes without signals, and then gets every entry', async () => {
  const conversation = await talk.create('alice', 'bob');
  const bob = await there.follow('bob');
  const slow = await openPaused(`${patient.service.url}/v1/conversations/${conversation}/events`, 'bob');
  const before = await patient.droppedSignals('reader');
  let entries = 0;
  await waitUntil(
    async () => {
      entries = await talk.say(conversation, 'alice', 700_000);
      await signal(conversation, 'alice', `after ${entries}`);
      return (await patient.droppedSignals('reader')) > before;
    },
    { what: 'the reader is so far behind that a signal is dropped' },
  );
  await untilCame(bob, String(entries), conversation);
  const came = slow.resume();
  await waitUntil(() => cameOver(came).includes(String(entries)), { what: 'it gets all entries' });
  // The signal of the last round may still have been on its way when the reader went on. All of them come before this one.
  await waitUntil(
    async () => {
      await signal(conversation, 'alice', 'last');
      return cameOver(came).includes('last');
    },
    { what: 'it gets signals again' },
  );
  const words = cameOver(came);
  expect(words.filter((word) => /^\d+$/.test(word))).toEqual(Array.from({ length: entries }, (_, i) => String(i + 1)));
  const lost = entries - words.filter((word) => word.startsWith('after ')).length;
  expect(lost).toBeGreaterThan(0);
  expect(lost).toBeLessThanOrEqual((await patient.droppedSignals('reader')) - before);
});

test('signals come again after the listening sessions lost their connections', async () => {
  const conversation = await talk.create('alice', 'bob');
  const stream = await there.follow('bob');
  await talk.say(conversation, 'alice');
  await untilCame(stream, '1', conversation);
  await signal(conversation, 'alice', 'before');
  await untilCame(stream, 'before', conversation);
  await database().pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'parley-listen'`,
  );
  await waitUntil(
    async () => {
      await signal(conversation, 'alice', 'again');
      return cameOver(stream, conversation).includes('again');
    },
    { what: 'a signal comes again' },
  );
  expect(stream.endedAt()).toBeUndefined();
});
