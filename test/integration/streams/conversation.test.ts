import { connect } from 'node:net';
import { createParser } from 'eventsource-parser';
import { expect, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { seqsOf, signalsOf } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { type Replica, useReplicas } from '../../harness/streams/replica.ts';
import { truncate } from '../../harness/streams/talk.ts';
import { untilEnd, untilDelivered, wordsOf } from '../../harness/streams/delivered.ts';

/** Long, so that what closes sooner is closed by something else. */
const PATIENT_MS = 600_000;
const SLOW_MS = 1000;
/** More than the buffers of both sockets hold. */
const FLOOD = 40;
const BIG = 700_000;

const {
  database,
  talk,
  replicas: [patient, deaf, strict],
} = useReplicas({ slowMs: PATIENT_MS }, { slowMs: PATIENT_MS, deaf: true }, { slowMs: SLOW_MS });

interface Came {
  readonly conversation: string;
  readonly seq: number;
  readonly entry: { readonly seq: number };
}

interface SlowReader {
  /** Reads on to the end of the connection. @returns what came: of entries the conversation, if it is told, and the seq */
  readonly finish: () => Promise<string[]>;
}

/** A reader that takes the head of its stream, and then nothing. */
async function openSlowly(replica: Replica, path: string, user: string, device?: string): Promise<SlowReader> {
  const { host, hostname, port } = new URL(replica.service.url);
  const socket = connect({ host: hostname, port: Number(port) });
  const token = await tokenOf(user, { device });
  socket.write(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => (isClosed = true));
  return {
    finish: async () => {
      const came: string[] = [];
      const parser = createParser({
        onEvent: ({ event = '', data }) => {
          const { conversation = '', entry, seq = entry?.seq } = JSON.parse(data) as Partial<Came>;
          came.push(event === 'entry' ? `${conversation}${seq}` : event);
        },
      });
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => parser.feed(String(chunk)));
      socket.resume();
      await waitUntil(() => isClosed, { what: 'the connection ends' });
      return came;
    },
  };
}

test('a blocked reader of a conversation that it loses is closed at once, with or without notifications (invariant 8)', async () => {
  for (const replica of [patient, deaf]) {
    const conversation = await talk.create('alice', 'bob');
    const reader = await openSlowly(replica, `/v1/conversations/${conversation}/events`, 'bob');
    for (let i = 0; i < FLOOD; i++) await talk.say(conversation, 'alice', BIG);
    const before = await replica.closedStreams('slow-consumer');
    const seq = await talk.remove(conversation, 'alice', 'bob');
    await waitUntil(async () => (await replica.closedStreams('slow-consumer')) === before + 1, {
      what: 'the service gives the reader up',
    });
    const came = await reader.finish();
    const entries = came.filter((word) => /^\d+$/.test(word));
    expect(entries).toEqual(Array.from(entries, (_, i) => String(i + 1)));
    expect(came).not.toContain('removed');
    // What it may read it still gets, and where that ends.
    const again = await replica.followOne(conversation, 'bob', { after: entries.length });
    await untilEnd(again);
    expect(seqsOf(again).at(-1)).toBe(seq);
    expect(signalsOf(again)).toEqual([{ event: 'removed', data: { seq } }]);
  }
});

test('a slow account stream is closed with its code, while others go on, and it resumes without a gap (invariant 5)', async () => {
  const [big, small] = [await talk.create('ann', 'ben'), await talk.create('ann', 'ben', 'cat')];
  const reader = await openSlowly(strict, '/v1/events', 'ben', 'phone');
  const laptop = await strict.follow('ben', 'laptop');
  const cat = await strict.follow('cat');
  const before = await strict.closedStreams('slow-consumer');
  for (let i = 0; i < FLOOD; i++) {
    await talk.say(big, 'ann', BIG);
    await talk.say(small, 'ann');
  }
  const all = Array.from({ length: FLOOD }, (_, i) => String(i + 1));
  await untilDelivered(cat, small, ['new', '+ann', '+ben', '+cat', ...all]);
  await untilDelivered(laptop, big, ['new', '+ann', '+ben', ...all]);
  await waitUntil(async () => (await strict.closedStreams('slow-consumer')) === before + 1, {
    what: 'the service gives the reader up',
  });
  const came = await reader.finish();
  for (const conversation of [big, small]) {
    const seqs = came.filter((word) => word.startsWith(conversation)).map((word) => word.slice(conversation.length));
    expect(seqs).toEqual(all.slice(0, seqs.length));
    expect(seqs.length).toBeLessThan(FLOOD);
  }
  expect(cat.endedAt()).toBeUndefined();
  expect(laptop.endedAt()).toBeUndefined();
  const resumed = await strict.follow('ben', 'phone');
  await untilDelivered(resumed, big, ['new', '+ann', '+ben', ...all]);
  await untilDelivered(resumed, small, ['new', '+ann', '+ben', '+cat', ...all]);
});

test('a stream of a superseded conversation tells every entry, then its successor, and ends', async () => {
  const conversation = await talk.create('alice', 'bob');
  await talk.say(conversation, 'alice');
  const streams = [await patient.followOne(conversation, 'bob'), await deaf.followOne(conversation, 'bob')];
  await database().pool.query(
    `insert into change (conversation, seq, kind, data)
     select key, last_seq, 'superseded', '{"successor": "bmV3"}' from conversation where id = $1`,
    [conversation],
  );
  streams.push(await patient.followOne(conversation, 'bob', { after: 'latest' }));
  for (const [i, stream] of streams.entries()) {
    await untilEnd(stream);
    expect(seqsOf(stream)).toEqual(i === 2 ? [] : [1]);
    expect(signalsOf(stream)).toEqual([{ event: 'reset', data: { successor: 'bmV3' } }]);
  }
});

test('a stream that would begin before the horizon ends with it, and one from the horizon on goes on', async () => {
  const conversation = await talk.create('alice', 'bob');
  for (let i = 0; i < 6; i++) await talk.say(conversation, 'alice');
  await truncate(database().pool, conversation, 5);
  for (const from of [{}, { after: 3 }]) {
    const stream = await patient.followOne(conversation, 'bob', from);
    await untilEnd(stream);
    expect(stream.events.map(({ event }) => event)).toEqual(['history-truncated']);
    expect(signalsOf(stream)).toEqual([{ event: 'history-truncated', data: { oldestSeq: 5 } }]);
  }
  const stream = await patient.followOne(conversation, 'bob', { after: 4 });
  await talk.say(conversation, 'alice');
  await waitUntil(() => seqsOf(stream).length === 3, { what: 'it goes on' });
  expect(seqsOf(stream)).toEqual([5, 6, 7]);
});

test('changes of a conversation are no events of its own stream', async () => {
  const conversation = await talk.create('alice', 'bob');
  const stream = await patient.followOne(conversation, 'bob');
  await talk.expect(`PATCH /v1/conversations/${conversation}`, 'alice', { policy: { epochWindow: 1 } });
  await talk.say(conversation, 'alice');
  await waitUntil(() => stream.events.length > 0, { what: 'the entry comes' });
  expect(wordsOf(stream, conversation)).toEqual([]);
  expect(seqsOf(stream)).toEqual([1]);
});
