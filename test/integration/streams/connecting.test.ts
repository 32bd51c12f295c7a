import { expect, test } from 'vitest';
import { MAX_MEMBER_EVENTS, MAX_POSITIONS_PER_REQUEST } from '../../../domain/limits.ts';
import { manyId, seedMany } from '../../../tools/load/seed-many.ts';
import { userName } from '../../../tools/load/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { delivered, untilDelivered, wordsOf } from '../../harness/streams/delivered.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

/** What a device is told when it connects, and not again when it connects once more. */
const {
  database,
  talk,
  replicas: [one],
} = useReplicas({});
let count = 0;
const someone = (name: string): string => `${name}-${++count}`;

/** The events of a conversation that a new stream of a device brings before the next entry, and this entry. */
async function connect(conversation: string, user: string, from: string, device?: string): Promise<string[]> {
  const stream = await one.follow(user, device);
  const seq = await talk.say(conversation, from);
  await waitUntil(() => wordsOf(stream, conversation).at(-1) === String(seq), { what: 'the entry is delivered' });
  const words = wordsOf(stream, conversation);
  stream.close();
  return words;
}

test.each([3, 1000])(
  'who acknowledged 0 in a conversation of %i members without entries is not told of its creation again',
  async (members) => {
    const [alice, bob] = [someone('alice'), someone('bob')];
    const others = Array.from({ length: members - 2 }, () => someone('many'));
    const told = members > MAX_MEMBER_EVENTS ? ['members'] : [alice, bob, ...others].map((user) => `+${user}`).sort();
    const conversation = await talk.create(alice, bob, ...others);
    for (let start = 0; start < 2; start++) {
      const stream = await one.follow(bob);
      await untilDelivered(stream, conversation, ['new', ...told]);
      stream.close();
    }
    await talk.ack(bob, undefined, { [conversation]: 0 });
    expect(await connect(conversation, bob, alice)).toEqual(['1']);
    // Another device has acknowledged nothing.
    expect(await connect(conversation, bob, alice, 'laptop')).toEqual(['new', ...told, '1', '2']);
  },
);

test('changes after the acknowledged position come again, but more than a few of them are one event', async () => {
  const [alice, bob, carol] = [someone('alice'), someone('bob'), someone('carol')];
  const conversation = await talk.create(alice, bob, carol);
  const changeRole = async (role: 'admin' | 'member'): Promise<void> => {
    await talk.expect(`PUT /v1/conversations/${conversation}/members/${carol}/role`, alice, { role });
  };
  const roles = Array.from({ length: MAX_MEMBER_EVENTS }, (_, i) => (i % 2 === 0 ? 'admin' : 'member'));
  for (const role of roles) await changeRole(role);
  await talk.ack(bob, undefined, { [conversation]: 0 });
  const stream = await one.follow(bob);
  const words = roles.map((role) => `${carol}=${role}`);
  await untilDelivered(stream, conversation, words);
  await changeRole('admin');
  // Live each is an event; on the next stream all are one.
  await untilDelivered(stream, conversation, [...words, `${carol}=admin`]);
  stream.close();
  const next = await one.follow(bob);
  await untilDelivered(next, conversation, ['several']);
  expect(delivered(next).at(-1)).toEqual({ event: 'conversation', conversation, change: 'several', seq: 0 });
  await changeRole('member');
  await untilDelivered(next, conversation, ['several', `${carol}=member`]);
  next.close();
  // A reset is told by itself: the conversation goes on elsewhere.
  const { id: successor } = await talk.expect('POST /v1/conversations', alice, {
    id: `${conversation.slice(0, -4)}AAAA`,
    protocol: 'opaque',
    members: [bob],
  });
  await database().pool.query('update conversation set successor = $2 where id = $1', [conversation, successor]);
  const last = await one.follow(bob);
  await untilDelivered(last, conversation, ['several', 'reset']);
  expect(delivered(last).find(({ event }) => event === 'reset')).toMatchObject({ successor });
});

test('0 says nothing of a device whose user joined later', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice);
  const seq = await talk.add(conversation, alice, bob);
  await talk.ack(bob, undefined, { [conversation]: 0 });
  const stream = await one.follow(bob);
  await untilDelivered(stream, conversation, [`welcome ${seq}`, 'new', String(seq), `+${bob}`]);
});

test('a device with 2,000 conversations is told of each once, and of none when it connects again', async () => {
  const { pool } = database();
  const conversations = 2000;
  await seedMany(pool, { name: 'connect', conversations, each: conversations, members: 2, from: 800_000 });
  const [user, peer] = [userName(800_000), userName(800_001)];
  const ids = Array.from({ length: conversations }, (_, n) => manyId('connect', n));
  /** Bytes and events of a stream until the last of `known` conversations has told everything. */
  const read = async (events: number): Promise<{ bytes: number; ms: number }> => {
    const started = performance.now();
    const stream = await one.follow(user);
    const told = (): typeof stream.events => stream.events.filter(({ event }) => event !== 'service');
    await waitUntil(() => told().length >= events, { what: 'the events are delivered' });
    const ms = Math.round(performance.now() - started);
    expect(told().length).toBe(events);
    const bytes = stream.events.reduce((sum, { event = '', data }) => sum + event.length + data.length + 16, 0);
    stream.close();
    return { bytes, ms };
  };
  // `new`, and an event for each of the two members.
  const first = await read(3 * conversations);
  for (let i = 0; i < ids.length; i += MAX_POSITIONS_PER_REQUEST) {
    const positions = Object.fromEntries(ids.slice(i, i + MAX_POSITIONS_PER_REQUEST).map((id) => [id, 0]));
    await talk.ack(user, undefined, positions);
  }
  const [news = ''] = ids;
  await talk.say(news, peer);
  const second = await read(1);
  process.stdout.write(
    `2,000 conversations: first stream ${first.bytes} bytes in ${first.ms} ms; after the acknowledgement ${second.bytes} bytes in ${second.ms} ms\n`,
  );
  expect(first.bytes).toBeLessThan(conversations * 400);
});
