import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { MAX_PUSH_TARGETS, PUSH_BURST_MS, PUSH_INTERVAL_MS, PUSH_LIFETIME_MS } from '../../../domain/limits.ts';
import { acknowledge } from '../../../store/device/positions.ts';
import { eraseUser } from '../../../store/device/account.ts';
import { forgetDevice, touchDevices } from '../../../store/device/devices.ts';
import {
  endOldWakes,
  readFailing,
  readOldestWake,
  recordDeliveries,
  settleCursors,
  takeDueWakes,
} from '../../../store/push/deliveries.ts';
import { recordStreams } from '../../../store/push/open-streams.ts';
import {
  acknowledgeWake,
  mutePush,
  readMuted,
  readRegistrations,
  registerPush,
  unregisterPush,
} from '../../../store/push/targets.ts';
import { useDatabase } from '../../harness/database.ts';
import { later, look, registerDevice } from '../../harness/push.ts';
import { type Request, send, sendStaged, startConversation } from '../../harness/requests.ts';

/** Which devices are woken, and when. */
const database = useDatabase();
const PHONE = { user: 'bob', device: 'phone' };

beforeEach(async () => {
  // Tests share their users.
  await database().pool.query(`delete from push_target; delete from push_mute; delete from push_cursor;
    update conversation set push_at = '-infinity'`);
});

let ids = 0;
function message(actor: string, push?: 'none' | 'high', type?: 'proposal'): Request {
  const id = `m-${ids++}`;
  return { kind: 'message', id, actor, body: id, epoch: 0, push, type };
}

/** A conversation of alice, bob and carol, and bob's phone. */
async function start(): Promise<string> {
  const { pool } = database();
  await registerDevice(pool, PHONE);
  return startConversation(pool);
}

/** Locks rows. @returns releases them */
async function hold(rows: string): Promise<() => Promise<void>> {
  const client = await database().pool.connect();
  await client.query(`begin; select from ${rows} for update`);
  return async () => {
    await client.query('rollback');
    client.release();
  };
}

const seconds = (ms: number): number => ms / 1000;

test('a message wakes the devices of the other members, once each until they acknowledge', async () => {
  const { pool } = database();
  const conversation = await start();
  await registerDevice(pool, { user: 'alice', device: 'phone' });
  await registerDevice(pool, { user: 'carol', device: 'tablet' });
  await registerDevice(pool, { user: 'dave', device: 'phone' });
  await send(pool, conversation, [message('alice')]);
  expect((await look(pool)).tokens).toEqual(['bob/phone', 'carol/tablet']);
  await send(pool, conversation, [message('alice')]);
  await later(pool, 1);
  expect((await look(pool)).tokens).toEqual([]);
  await acknowledge(pool, PHONE, new Map([[conversation, { seq: 2 }]]));
  await send(pool, conversation, [message('alice')]);
  await later(pool, 3);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
});

for (const [path, sent] of [
  ['directly', send],
  ['staged', sendStaged],
] as const) {
  test(`levels, sent ${path}: \`none\` and proposals wake nobody, \`high\` says so, one by one and as a run`, async () => {
    const { pool } = database();
    const conversation = await start();
    await sent(pool, conversation, [message('alice', 'none'), message('alice', undefined, 'proposal')]);
    expect((await look(pool)).tokens).toEqual([]);
    await sent(pool, conversation, [message('alice', 'high'), message('alice', 'none')]);
    await later(pool, 1);
    expect((await look(pool)).wakes).toMatchObject([{ isHigh: true, conversation, unread: 3 }]);
    await acknowledge(pool, PHONE, new Map([[conversation, { seq: 4 }]]));
    await send(pool, conversation, [{ kind: 'read', id: randomUUID(), actor: 'bob' }]);
    await later(pool, 30);
    expect((await look(pool)).tokens).toEqual([]);
    // A run: decided by one statement.
    await sent(
      pool,
      conversation,
      Array.from({ length: 10 }, () => message('alice', 'none')),
    );
    await later(pool, 30);
    expect((await look(pool)).tokens).toEqual([]);
    await sent(pool, conversation, [...Array.from({ length: 9 }, () => message('alice')), message('carol', 'none')]);
    await later(pool, 30);
    expect((await look(pool)).wakes).toMatchObject([{ isHigh: false }]);
    const { rows } = await pool.query('select push_seq, push_high_seq from conversation where id = $1', [conversation]);
    expect(rows).toEqual([{ push_seq: 23, push_high_seq: 3 }]);
  });
}

test('a retry with another level is the same message, and the first level holds', async () => {
  const { pool } = database();
  const conversation = await start();
  const silent = { kind: 'message', id: 'once', actor: 'alice', body: 'once', epoch: 0, push: 'none' } as const;
  await send(pool, conversation, [silent]);
  const { outcomes } = await send(pool, conversation, [{ ...silent, push: 'high' }]);
  expect(outcomes).toMatchObject([{ status: 'duplicate', seq: 1, epoch: 0 }]);
  expect((await look(pool)).tokens).toEqual([]);
});

test('who has read the entry, muted the conversation or left it is not woken', async () => {
  const { pool } = database();
  const conversation = await start();
  await registerDevice(pool, { user: 'carol', device: 'phone' });
  await send(pool, conversation, [message('alice')]);
  await send(pool, conversation, [{ kind: 'read', id: randomUUID(), actor: 'bob' }]);
  expect(await mutePush(pool, { user: 'carol', device: 'phone' }, [conversation, 'unknown-unknown'])).toEqual([
    conversation,
  ]);
  expect(await look(pool)).toMatchObject({ tokens: [], muted: 1 });
  expect(await readMuted(pool, { user: 'carol', device: 'phone' })).toEqual([conversation]);
  await mutePush(pool, { user: 'carol', device: 'phone' }, []);
  await send(pool, conversation, [{ kind: 'leave', id: randomUUID(), actor: 'carol' }, message('alice')]);
  await later(pool, 1);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
});

test('with an open stream a wake-up is held for 5 s, and dropped only if that device has acknowledged the entry', async () => {
  const { pool } = database();
  const conversation = await start();
  const other = { user: 'bob', device: 'laptop' };
  await registerDevice(pool, other);
  const [phone, laptop] = [
    { ...PHONE, id: randomUUID() },
    { ...other, id: randomUUID() },
  ];
  await recordStreams(pool, [phone, laptop], []);
  await send(pool, conversation, [message('alice')]);
  expect((await look(pool)).tokens).toEqual([]);
  await acknowledge(pool, other, new Map([[conversation, { seq: 1 }]]));
  // Real time passes too.
  await later(pool, 1);
  expect((await look(pool)).tokens).toEqual([]);
  await later(pool, 5);
  expect(await look(pool)).toMatchObject({ tokens: ['bob/phone'], acknowledged: 1 });
  // The stream ends: from now on it is woken at once.
  await acknowledge(pool, PHONE, new Map([[conversation, { seq: 1 }]]));
  await recordStreams(pool, [], [{ ...phone, id: randomUUID() }, phone]);
  await send(pool, conversation, [message('alice')]);
  await later(pool, 1);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
});

test('an entry that came while the device was woken wakes it again after it acknowledged less, and only once', async () => {
  const { pool } = database();
  const conversation = await start();
  const quiet = await startConversation(pool);
  await send(pool, quiet, [message('alice')]);
  await look(pool);
  await acknowledge(pool, PHONE, new Map([[quiet, { seq: 1 }]]));
  await later(pool, 60);
  await send(pool, conversation, [message('alice')]);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
  await send(pool, conversation, [message('alice')]);
  for (let looks = 0; looks < 3; looks++) {
    await later(pool, 6);
    expect((await look(pool)).tokens).toEqual([]);
  }
  await acknowledge(pool, PHONE, new Map([[conversation, { seq: 1 }]]));
  await later(pool, 6);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
  // It acknowledges, but never this conversation: no further wake-up without a further entry.
  await acknowledgeWake(pool, PHONE);
  await later(pool, 6);
  expect((await look(pool)).tokens).toEqual([]);
});

test('nobody can wake a device more often than its pace, and what waits for that is not lost', async () => {
  const { pool } = database();
  const conversation = await start();
  const times = PUSH_BURST_MS / PUSH_INTERVAL_MS + 1;
  let woken = 0;
  for (let i = 0; i < times + 5; i++) {
    await send(pool, conversation, [message('alice', 'high')]);
    woken += (await look(pool)).tokens.length;
    await acknowledgeWake(pool, PHONE);
    await pool.query('update push_cursor set next_at = clock_timestamp()');
  }
  expect(woken).toBe(times);
  await later(pool, seconds(PUSH_INTERVAL_MS) + 1);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
});

test('a wake-up whose process died is sent again, a failed one is left to the workflow, and both end', async () => {
  const { pool } = database();
  const conversation = await start();
  await send(pool, conversation, [message('alice')]);
  const [wake] = (await look(pool)).wakes;
  const { key, id } = wake ?? expect.unreachable();
  expect(await takeDueWakes(pool, 'lost', 10)).toEqual([]);
  await later(pool, 61);
  expect(await readOldestWake(pool)).toBeGreaterThan(60);
  expect(await takeDueWakes(pool, 'lost', 10)).toMatchObject([{ key, id, attempts: 0 }]);
  await recordDeliveries(pool, [{ key, id, state: 'failed', retryInMs: 5000 }]);
  expect(await readFailing(pool)).toMatchObject({ count: 1 });
  await later(pool, 6);
  expect(await takeDueWakes(pool, 'lost', 10)).toEqual([]);
  expect(await takeDueWakes(pool, 'failed', 10)).toMatchObject([{ key, id, attempts: 1 }]);
  await recordDeliveries(pool, [{ key, id, state: 'sent' }]);
  expect(await readFailing(pool)).toMatchObject({ count: 0 });
  await look(pool);
  expect(await readOldestWake(pool)).toBeLessThan(60);
});

test('what a device acknowledges is not sent any more, and reports of old wake-ups change nothing', async () => {
  const { pool } = database();
  const conversation = await start();
  await send(pool, conversation, [message('alice')]);
  const [wake] = (await look(pool)).wakes;
  const { key, id } = wake ?? expect.unreachable();
  await acknowledge(pool, PHONE, new Map([[conversation, { seq: 1 }]]));
  await recordDeliveries(pool, [{ key, id, state: 'failed', retryInMs: 0 }]);
  expect(await takeDueWakes(pool, 'failed', 10)).toEqual([]);
  // A new token came while the old one was found to be gone.
  await send(pool, conversation, [message('alice')]);
  await later(pool, 1);
  const [next] = (await look(pool)).wakes;
  await registerPush(pool, PHONE, { kind: 'gateway', token: 'new' });
  await recordDeliveries(pool, [{ key, id: next?.id ?? '', state: 'gone' }]);
  expect(await readRegistrations(pool, 'bob')).toMatchObject([{ target: { token: 'new' }, woken: false }]);
});

test('a wake-up ends after its lifetime, and a target that is gone is forgotten', async () => {
  const { pool } = database();
  const conversation = await start();
  await send(pool, conversation, [message('alice')]);
  await look(pool);
  await later(pool, 6);
  await look(pool);
  await later(pool, seconds(PUSH_LIFETIME_MS) + 1);
  expect(await endOldWakes(pool)).toBe(1);
  expect(await endOldWakes(pool)).toBe(0);
  await settleCursors(pool);
  expect((await look(pool)).tokens).toEqual([]);
  await send(pool, conversation, [message('alice')]);
  const [wake] = (await look(pool)).wakes;
  const { key, id } = wake ?? expect.unreachable();
  await recordDeliveries(pool, [{ key, id, state: 'gone' }]);
  expect(await readRegistrations(pool, 'bob')).toEqual([]);
});

test('cursors of quiet conversations go, and a locked conversation keeps its cursor', async () => {
  const { pool } = database();
  const conversation = await start();
  const cursors = async (): Promise<number> => (await pool.query('select from push_cursor')).rowCount ?? 0;
  await send(pool, conversation, [message('alice')]);
  await look(pool);
  await later(pool, 6);
  await look(pool);
  await later(pool, 20);
  const release = await hold(`conversation where id = '${conversation}'`);
  try {
    await settleCursors(pool);
    expect(await cursors()).toBe(1);
  } finally {
    await release();
  }
  await settleCursors(pool);
  expect(await cursors()).toBe(0);
  // Nobody has a target: no cursor either.
  await unregisterPush(pool, PHONE);
  await send(pool, conversation, [message('alice')]);
  expect(await cursors()).toBe(0);
});

test('a send does not wait for a look at its conversation', async () => {
  const { pool } = database();
  const conversation = await start();
  await send(pool, conversation, [message('alice')]);
  const looking = await pool.connect();
  try {
    await looking.query('begin; update push_cursor set next_at = next_at');
    expect((await send(pool, conversation, [message('alice')])).outcomes).toMatchObject([{ status: 'accepted' }]);
  } finally {
    await looking.query('rollback');
    looking.release();
  }
});

test('a device that is locked for a moment is looked at again', async () => {
  const { pool } = database();
  const conversation = await start();
  await send(pool, conversation, [message('alice')]);
  const release = await hold(`push_target where user_id = 'bob'`);
  try {
    expect((await look(pool)).tokens).toEqual([]);
  } finally {
    await release();
  }
  await later(pool, 1);
  expect((await look(pool)).tokens).toEqual(['bob/phone']);
});

test('an endpoint stands once for a user, the oldest targets make room, and all go with their device and user', async () => {
  const { pool } = database();
  await start();
  await registerPush(pool, { user: 'bob', device: 'again' }, { kind: 'gateway', token: 'bob/phone' });
  expect((await readRegistrations(pool, 'bob')).map(({ device }) => device)).toEqual(['again']);
  for (let i = 0; i < MAX_PUSH_TARGETS; i++) await registerDevice(pool, { user: 'bob', device: `d${i}` });
  const devices = (await readRegistrations(pool, 'bob')).map(({ device }) => device);
  expect(devices).toHaveLength(MAX_PUSH_TARGETS);
  expect(devices).not.toContain('again');
  await touchDevices(pool, [{ user: 'bob', device: 'd1' }]);
  await forgetDevice(pool, { user: 'bob', device: 'd1' });
  expect(await readRegistrations(pool, 'bob', 'd1')).toEqual([]);
  await eraseUser(pool, 'bob');
  expect(await readRegistrations(pool, 'bob')).toEqual([]);
});
