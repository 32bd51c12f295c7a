import { expect, test } from 'vitest';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useReplicas } from '../../harness/streams/replica.ts';
import { truncate } from '../../harness/streams/talk.ts';
import { delivered, deliveredNews, untilEnd, untilDelivered, wordsOf } from '../../harness/streams/delivered.ts';

const {
  database,
  talk,
  /** The third hears no notifications. */
  replicas: [one, other, deaf],
} = useReplicas({}, {}, { deaf: true });
let count = 0;
/** Users of one test only: the stream of a user delivers all its conversations. */
const someone = (name: string): string => `${name}-${++count}`;

test('a stream starts with the joining entry, or after the acknowledged entry, whose changes are delivered again', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice);
  await talk.say(conversation, alice);
  await talk.add(conversation, alice, bob);
  await talk.say(conversation, alice);
  const all = ['welcome 2', 'new', '2', `+${bob}`, '3'];
  await untilDelivered(await one.follow(bob), conversation, all);
  await untilDelivered(await other.follow(alice), conversation, ['new', `+${alice}`, '1', '2', `+${bob}`, '3']);
  await talk.ack(bob, undefined, { [conversation]: 2 });
  await untilDelivered(await one.follow(bob), conversation, ['welcome 2', `+${bob}`, '3']);
  // Another device of the same user has its own position.
  await untilDelivered(await one.follow(bob, 'laptop'), conversation, all);
  await talk.ack(bob, undefined, { [conversation]: 3 });
  const last = await one.follow(bob);
  await talk.say(conversation, alice);
  await untilDelivered(last, conversation, ['welcome 2', '4']);
  expect(last.events.every(({ id }) => id === undefined)).toBe(true);
});

test('an entry on an account stream has the same JSON as on a page', async () => {
  const alice = someone('alice');
  const conversation = await talk.create(alice);
  await talk.say(conversation, alice);
  const stream = await one.follow(alice);
  await waitUntil(() => wordsOf(stream, conversation).includes('1'), { what: 'the entry comes' });
  const page = await talk.expect(`GET /v1/conversations/${conversation}/messages`, alice);
  expect(delivered(stream).find(({ event }) => event === 'entry')?.entry).toEqual((page.entries as unknown[])[0]);
});

test('new conversations join open streams at once, in every process, by creation and by addition', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const streams = await Promise.all([one.follow(bob, 'a'), other.follow(bob, 'b'), deaf.follow(bob, 'c')]);
  const created = await talk.create(alice, bob);
  const joined = await talk.create(alice);
  const seq = await talk.add(joined, alice, bob);
  await talk.say(joined, alice);
  for (const stream of streams) {
    await untilDelivered(stream, created, ['new', `+${alice}`, `+${bob}`]);
    await untilDelivered(stream, joined, [`welcome ${seq}`, 'new', '1', `+${bob}`, '2']);
  }
});

test('a Welcome comes before all events of its commit, on every device that it is for, and on each new stream until it is acknowledged', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  const [phone, laptop] = [await one.follow(bob, 'phone'), await other.follow(bob, 'laptop')];
  const start = ['new', `+${alice}`, `+${bob}`];
  for (const stream of [phone, laptop]) await untilDelivered(stream, conversation, start);
  // A further device of a member: no user joins, but there is a Welcome.
  await talk.add(conversation, alice, bob);
  for (const stream of [phone, laptop]) await untilDelivered(stream, conversation, [...start, 'welcome 1', '1']);
  const again = await one.follow(bob, 'phone');
  await untilDelivered(again, conversation, ['welcome 1', ...start, '1']);
  const [welcome] = deliveredNews(again);
  expect(welcome).toEqual({
    event: 'welcome',
    id: welcome?.id,
    conversation,
    welcome: Buffer.from('welcome').toString('base64'),
    seq: 1,
    epoch: 1,
  });
  await talk.expect(`POST /v1/welcomes/${String(welcome?.id)}/ack`, bob, {});
  await untilDelivered(await one.follow(bob, 'phone'), conversation, [...start, '1']);
});

test('a Welcome for one device does not reach another', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  await talk.add(conversation, alice, bob);
  await database().pool.query(`update welcome set device_id = 'laptop' where user_id = $1`, [bob]);
  const start = ['new', `+${alice}`, `+${bob}`, '1'];
  await untilDelivered(await one.follow(bob, 'laptop'), conversation, ['welcome 1', ...start]);
  await untilDelivered(await one.follow(bob, 'phone'), conversation, start);
});

test('changes are delivered after the entry at which they happened, in their order', async () => {
  const [alice, bob, carol] = [someone('alice'), someone('bob'), someone('carol')];
  const conversation = await talk.create(alice, bob);
  const live = await other.follow(bob);
  const path = `/v1/conversations/${conversation}`;
  await talk.say(conversation, alice);
  await talk.expect(`PUT ${path}/members/${bob}/role`, alice, { role: 'admin' });
  await talk.expect(`PATCH ${path}`, alice, { policy: { epochWindow: 1 } });
  await talk.say(conversation, bob);
  await talk.add(conversation, alice, carol);
  await talk.remove(conversation, bob, carol);
  const words = ['new', `+${alice}`, `+${bob}`, '1', `${bob}=admin`, 'policy', '2', '3', `+${carol}`, '4', `-${carol}`];
  await untilDelivered(live, conversation, words);
  await untilDelivered(await one.follow(bob), conversation, words);
  const policy = delivered(live).find(({ change }) => change === 'policy');
  expect(policy).toMatchObject({ seq: 1, policy: { epochWindow: 1 } });
});

test('a stream stays open when its user is removed from one conversation, delivers `removed`, and follows it again after the next addition', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  const remaining = await talk.create(alice, bob);
  const streams = await Promise.all([one.follow(bob, 'a'), other.follow(bob, 'b'), deaf.follow(bob, 'c')]);
  const start = ['new', `+${alice}`, `+${bob}`];
  for (const stream of streams) await untilDelivered(stream, conversation, start);
  await talk.remove(conversation, alice, bob);
  const removed = [...start, '1', `-${bob}`, 'removed 1'];
  for (const stream of streams) await untilDelivered(stream, conversation, removed);
  await talk.say(conversation, alice);
  await talk.expect(`PUT /v1/conversations/${remaining}/members/${bob}/role`, alice, { role: 'admin' });
  for (const stream of streams) await untilDelivered(stream, remaining, [...start, `${bob}=admin`]);
  const seq = await talk.add(conversation, alice, bob);
  expect(seq).toBe(3);
  for (const stream of streams) {
    await untilDelivered(stream, conversation, [...removed, 'welcome 3', 'new', '3', `+${bob}`]);
    expect(stream.endedAt()).toBeUndefined();
  }
  // From its start: the device acknowledged nothing of this membership interval.
  await untilDelivered(await one.follow(bob), conversation, ['welcome 3', 'new', '3', `+${bob}`]);
});

test('leaving and coming back between two polls is delivered as both', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  await talk.say(conversation, alice);
  await talk.ack(bob, undefined, { [conversation]: 1 });
  const stream = await deaf.follow(bob);
  await untilDelivered(stream, conversation, []);
  await talk.remove(conversation, alice, bob);
  await talk.say(conversation, alice);
  await talk.add(conversation, alice, bob);
  await waitUntil(() => wordsOf(stream, conversation).at(-1) === `+${bob}`, {
    what: 'the second membership interval is delivered',
  });
  const words = wordsOf(stream, conversation);
  // A poll between the two commits makes the Welcome come later, but never after the entries that need it.
  expect(words.filter((word) => word !== 'welcome 4')).toEqual(['2', `-${bob}`, 'removed 2', 'new', '4', `+${bob}`]);
  expect(words.indexOf('welcome 4')).toBeLessThan(words.indexOf('new'));
  expect(words).toContain('welcome 4');
});

test('leaving without an entry and coming back between two polls is delivered as both', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  await talk.say(conversation, alice);
  await talk.ack(bob, undefined, { [conversation]: 1 });
  const stream = await deaf.follow(bob);
  await talk.expect(`DELETE /v1/conversations/${conversation}/members/${bob}`, bob, {});
  await talk.add(conversation, alice, bob);
  await waitUntil(() => wordsOf(stream, conversation).at(-1) === `+${bob}`, {
    what: 'the second membership interval is delivered',
  });
  const words = wordsOf(stream, conversation).filter((word) => word !== 'welcome 2');
  expect(words).toEqual([`-${bob}`, 'removed 1', 'new', '2', `+${bob}`]);
});

test('a device that acknowledged everything gets `removed` when its user left, until it acknowledges again', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  await talk.say(conversation, alice);
  await talk.ack(bob, 'laptop', { [conversation]: 1 });
  await talk.expect(`DELETE /v1/conversations/${conversation}/members/${bob}`, bob, {});
  const laptop = await one.follow(bob, 'laptop');
  await untilDelivered(laptop, conversation, [`-${bob}`, 'removed 1']);
  await talk.ack(bob, 'laptop', { [conversation]: 1 });
  const again = await one.follow(bob, 'laptop');
  const next = await talk.create(alice, bob);
  await untilDelivered(again, next, ['new', `+${alice}`, `+${bob}`]);
  expect(wordsOf(again, conversation)).toEqual([]);
});

test('a former member gets the rest of what it may read, and nothing that came after it left', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  await talk.say(conversation, alice);
  await talk.say(conversation, alice);
  const live = await one.follow(bob);
  await talk.expect(`DELETE /v1/conversations/${conversation}/members/${bob}`, bob, {});
  // It has the same seq as the leave.
  await talk.expect(`PATCH /v1/conversations/${conversation}`, alice, { policy: { epochWindow: 1 } });
  await talk.say(conversation, alice);
  const start = ['new', `+${alice}`, `+${bob}`, '1', '2', `-${bob}`, 'removed 2'];
  await untilDelivered(live, conversation, start);
  await untilDelivered(await one.follow(bob), conversation, start);
  await talk.ack(bob, undefined, { [conversation]: 1 });
  await untilDelivered(await one.follow(bob), conversation, ['2', `-${bob}`, 'removed 2']);
  await talk.ack(bob, undefined, { [conversation]: 2 });
  const quiet = await one.follow(bob);
  const next = await talk.create(alice, bob);
  await untilDelivered(quiet, next, ['new', `+${alice}`, `+${bob}`]);
  expect(wordsOf(quiet, conversation)).toEqual([]);
});

test('the deletion of a conversation is delivered, and so is the successor of a superseded one', async () => {
  const alice = someone('alice');
  const [gone, old] = [await talk.create(alice), await talk.create(alice)];
  const streams = await Promise.all([one.follow(alice, 'a'), deaf.follow(alice, 'b')]);
  for (const stream of streams) await untilDelivered(stream, gone, ['new', `+${alice}`]);
  await talk.expect(`DELETE /v1/conversations/${gone}`, alice, {});
  await database().pool.query(
    `insert into change (conversation, seq, kind, data) select key, last_seq, kind, data::jsonb
     from conversation, (values ('reset-open', '{}'), ('welcome-expired', '{"user": "x", "device": "y"}'),
       ('superseded', '{"successor": "bmV3"}'), ('of-a-newer-version', '{}')) x (kind, data) where id = $1`,
    [old],
  );
  for (const stream of streams) {
    await untilDelivered(stream, gone, ['new', `+${alice}`, 'deleted']);
    await untilDelivered(stream, old, ['new', `+${alice}`, 'reset-open', 'welcome-expired', 'reset']);
    expect(delivered(stream).find(({ event }) => event === 'reset')).toMatchObject({ successor: 'bmV3' });
    expect(delivered(stream).find(({ change }) => change === 'welcome-expired')).toMatchObject({
      user: 'x',
      device: 'y',
    });
  }
});

test('a stream whose position is before the oldest kept entry delivers `history-truncated`, and continues with that entry', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  for (let i = 0; i < 6; i++) await talk.say(conversation, alice);
  await talk.ack(bob, undefined, { [conversation]: 2 });
  await truncate(database().pool, conversation, 5);
  await untilDelivered(await one.follow(bob), conversation, ['history-truncated 5', '5', '6']);
  await talk.ack(bob, undefined, { [conversation]: 4 });
  await untilDelivered(await one.follow(bob), conversation, ['5', '6']);
  await untilDelivered(await one.follow(alice), conversation, ['history-truncated 5', 'new', '5', '6']);
});

test('changes after the oldest kept entry are delivered to a device whose position is before it', async () => {
  const [alice, bob, carol] = [someone('alice'), someone('bob'), someone('carol')];
  const conversation = await talk.create(alice, bob, carol);
  const path = `/v1/conversations/${conversation}`;
  for (let i = 0; i < 4; i++) await talk.say(conversation, alice);
  await talk.ack(bob, undefined, { [conversation]: 2 });
  await truncate(database().pool, conversation, 5);
  await talk.expect(`PUT ${path}/members/${bob}/role`, alice, { role: 'admin' });
  await talk.expect(`DELETE ${path}/members/${carol}`, carol, {});
  await talk.expect(`POST ${path}/reset`, alice, { successor: `${conversation.slice(1)}A` });
  await untilDelivered(await one.follow(bob), conversation, [
    'history-truncated 5',
    `${bob}=admin`,
    `-${carol}`,
    'reset',
  ]);
});

test('a newer stream of the same device ends the older one, in any process, and no other stream', async () => {
  const bob = someone('bob');
  const laptop = await one.follow(bob, 'laptop');
  const first = await one.follow(bob, 'phone');
  const second = await one.follow(bob, 'phone');
  expect(await untilEnd(first)).toEqual({ event: 'replaced' });
  const third = await other.follow(bob, 'phone');
  expect(await untilEnd(second)).toEqual({ event: 'replaced' });
  const fourth = await one.follow(bob, 'phone');
  expect(await untilEnd(third)).toEqual({ event: 'replaced' });
  expect([laptop.endedAt(), fourth.endedAt()]).toEqual([undefined, undefined]);

  // Of many that open at the same time, one stays open.
  const many = await Promise.all(
    Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? one : other).follow(bob, 'tablet')),
  );
  await waitUntil(() => many.filter((stream) => stream.endedAt() === undefined).length === 1, { what: 'one is left' });
  const conversation = await talk.create(someone('alice'), bob);
  const last = many.find((stream) => stream.endedAt() === undefined);
  await waitUntil(() => last !== undefined && wordsOf(last, conversation).includes('new'), {
    what: 'the stream delivers',
  });
});

test('forgetting a device ends its stream', async () => {
  const bob = someone('bob');
  const [phone, laptop] = [await other.follow(bob, 'phone'), await other.follow(bob, 'laptop')];
  await waitUntil(async () => ((await talk.expect('GET /v1/devices', bob)).devices as unknown[]).length === 3, {
    what: 'the devices are on record',
  });
  await talk.expect('DELETE /v1/devices/phone', bob);
  expect(await untilEnd(phone)).toEqual({ event: 'replaced' });
  expect(laptop.endedAt()).toBeUndefined();
});

test('a low stock is delivered once when it becomes low, also without notifications, and when a stream opens', async () => {
  const bob = someone('bob');
  const streams = await Promise.all([one.follow(bob, 'phone'), deaf.follow(bob, 'laptop')]);
  await waitUntil(async () => ((await talk.expect('GET /v1/devices', bob)).devices as unknown[]).length === 3, {
    what: 'the devices are on record',
  });
  await database().pool.query(`update device set low_stock_at = clock_timestamp() where user_id = $1`, [bob]);
  for (const stream of streams) {
    await waitUntil(() => deliveredNews(stream).length > 0, { what: 'it is delivered' });
    expect(deliveredNews(stream)).toEqual([{ event: 'low-stock', available: 0 }]);
  }
  const again = await one.follow(bob, 'phone');
  await waitUntil(() => deliveredNews(again).length > 0, { what: 'it is delivered again' });
  expect(deliveredNews(again)).toEqual([{ event: 'low-stock', available: 0 }]);
});

test('a stream without any conversation is open and delivers nothing but the incarnation', async () => {
  const stream = await one.follow(someone('nobody'));
  expect(stream.status).toBe(200);
  expect(stream.headers['content-type']).toContain('text/event-stream');
  expect(deliveredNews(stream)).toEqual([]);
});
