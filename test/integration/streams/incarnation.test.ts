import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { expect, inject, test } from 'vitest';
import { type IncarnationWatch, makeIncarnationWatch } from '../../../store/process/incarnation-watch.ts';
import { makePool } from '../../../store/pool.ts';
import { asAdmin } from '../../../local/database-copy.ts';
import { databaseUrl } from '../../../tools/harness/databases.ts';
import type { EventStream } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useCleanup } from '../../harness/cleanup.ts';
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts';
import { keepConversation } from '../../harness/kept-conversation.ts';
import { delivered, untilEnd, wordsOf } from '../../harness/streams/delivered.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

const later = useCleanup();
const { database, replicas, talk } = useReplicas({}, {});
const log = pino({ level: 'silent' });
const watchOn = (pool: TestDatabase['pool']): IncarnationWatch => makeIncarnationWatch({ pool, log });
const keyOfAddition = async (conversation: string): Promise<string | undefined> => {
  const { rows } = await database().pool.query<{ key: string }>(
    `select x.key from change x join conversation c on c.key = x.conversation
     where c.id = $1 and x.kind = 'added' and x.data -> 'users' ? 'cem'`,
    [conversation],
  );
  return rows.at(-1)?.key;
};
const toldTo = (stream: EventStream): unknown[] =>
  delivered(stream).flatMap(({ event, incarnation }) => (event === 'service' ? [incarnation] : []));

test('a stream begins with the incarnation, and all streams are told of another one, by whichever process they are served', async () => {
  const [first, second] = replicas;
  await talk.create('ann', 'ben');
  const ann = await first.follow('ann');
  const ben = await second.follow('ben');
  await waitUntil(() => delivered(ann).length > 1 && delivered(ben).length > 1, { what: 'both streams begin' });
  const [begun] = delivered(ann);
  expect(begun).toEqual({ event: 'service', incarnation: expect.any(String) as string });
  expect(delivered(ben)[0]).toEqual(begun);

  const { status, body } = await first.service.ask('POST /v1/admin/restored', { user: 'operator', body: {} });
  expect(status).toBe(200);
  await waitUntil(() => toldTo(ann).length === 2 && toldTo(ben).length === 2, { what: 'both are told' });
  expect(toldTo(ann)).toEqual([begun?.incarnation, body.incarnation]);
  expect(toldTo(ben)).toEqual(toldTo(ann));
  expect((await second.service.ask('GET /health')).body.incarnation).toBe(body.incarnation);
  const trail = await first.service.ask('GET /v1/admin/audit?limit=1', { user: 'operator' });
  expect(trail.body.entries).toMatchObject([
    { action: 'incarnation', actor: 'operator', details: { reason: 'restored', to: body.incarnation } },
  ]);
  expect((await first.service.ask('POST /v1/admin/restored', { user: 'ann', body: {} })).status).toBe(403);
});

test('an addition after a restore comes, though its key in the database is that of one that was lost', async () => {
  const [first, second] = replicas;
  const { pool } = database();
  const conversation = await talk.create('ann');
  const restore = await keepConversation(pool, conversation);
  const streams = [await first.follow('cem', 'phone'), await second.follow('cem', 'laptop')];
  await talk.add(conversation, 'ann', 'cem');
  for (const stream of streams) {
    await waitUntil(() => wordsOf(stream, conversation).includes('new'), { what: 'the first addition comes' });
  }
  const lost = await keyOfAddition(conversation);

  await restore();
  await pool.query(`select setval(pg_get_serial_sequence('change', 'key'), $1, false)`, [lost]);
  await first.service.ask('POST /v1/admin/restored', { user: 'operator', body: {} });
  for (const stream of streams) await waitUntil(() => stream.endedAt() !== undefined, { what: 'the stream ends' });
  const again = [await first.follow('cem', 'phone'), await second.follow('cem', 'laptop')];
  await talk.add(conversation, 'ann', 'cem');
  expect(await keyOfAddition(conversation)).toBe(lost);
  for (const stream of again) {
    await waitUntil(() => wordsOf(stream, conversation).includes('new'), { what: 'the second addition comes' });
  }
});

test('a reader whose ticket a restore took is asked to connect again, and gets a new one', async () => {
  const [first, second] = replicas;
  const conversation = await talk.create('dora');
  const path = `/v1/conversations/${conversation}/events`;
  const ticket = async (): Promise<string> =>
    String((await talk.expect('POST /v1/stream-tickets', 'dora', { path })).ticket);
  const streams = [await first.followWith(await ticket(), path), await second.followWith(await ticket(), path)];
  await database().pool.query('delete from stream_ticket; update incarnation set timeline_id = timeline_id + 1');
  for (const stream of streams) expect(await untilEnd(stream)).toEqual({ event: 'reconnect' });
  expect((await first.followWith(await ticket(), path)).status).toBe(200);
});

test('it stays while the database stays, and ends once when two processes see that the database moved', async () => {
  const { pool, drop } = await createTestDatabase();
  later('database', drop);
  const [one, other] = [watchOn(pool), watchOn(pool)];
  const seen: string[] = [];
  one.onChange((id) => seen.push(id));
  const begun = await one.known();
  await one.refresh();
  await other.refresh();
  expect([one.current(), other.current(), seen]).toEqual([begun, begun, [begun]]);

  // As a backup of another branch has it.
  for (const column of ['timeline_id', 'system_identifier', 'database_oid']) {
    const before = one.current();
    await pool.query(`update incarnation set ${column} = ${column} + 1`);
    await Promise.all([one.refresh(), other.refresh()]);
    expect(one.current(), column).not.toBe(before);
    expect(other.current(), column).toBe(one.current());
  }
  expect(seen).toHaveLength(4);
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from audit where action = 'incarnation' and actor = 'service'`,
  );
  expect(rows).toEqual([{ count: 3 }]);
});

test('a copy of the database is another incarnation', async () => {
  const source = await createTestDatabase();
  later('database', source.drop);
  // A database can be copied while nobody is connected.
  const before = makePool({ url: source.url, max: 1, name: 'test' });
  const begun = await watchOn(before).known();
  await before.end();
  const name = `parley_test_${randomBytes(8).toString('hex')}`;
  await asAdmin(inject('postgresUrl'), (client) =>
    client.query(`create database ${name} template ${new URL(source.url).pathname.slice(1)}`),
  );
  const copy = makePool({ url: databaseUrl(inject('postgresUrl'), name), max: 1, name: 'test' });
  later('copy', async () => {
    await copy.end();
    await asAdmin(inject('postgresUrl'), (client) => client.query(`drop database ${name} with (force)`));
  });
  expect(await watchOn(copy).known()).not.toBe(begun);
});

test('where the role may not see the server, a new database is still noticed, and the process says that the rest is not', async () => {
  const role = `parley_role_${randomBytes(8).toString('hex')}`;
  const { pool: owner, url, drop } = await createTestDatabase();
  later('database', async () => {
    await owner.query(`drop owned by ${role}; drop role ${role}`);
    await drop();
  });
  await owner.query(`create role ${role}; revoke execute on function pg_control_system() from public;
    grant usage on schema parley to ${role}; grant all on all tables in schema parley to ${role};
    grant usage on all sequences in schema parley to ${role}`);
  const pool = makePool({ url, max: 1, name: 'test' });
  later('pool', () => pool.end());
  await pool.query(`set role ${role}`);
  const watch = watchOn(pool);
  const begun = await watch.known();
  expect(watch.canNotice()).toBe(false);
  await owner.query('update incarnation set timeline_id = 17');
  await watch.refresh();
  expect(watch.current()).toBe(begun);
  await owner.query('update incarnation set database_oid = database_oid + 1');
  await watch.refresh();
  expect(watch.current()).not.toBe(begun);
  expect(watchOn(database().pool).canNotice()).toBe(true);
});
