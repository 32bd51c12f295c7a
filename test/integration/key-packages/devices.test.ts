import { expect, test } from 'vitest';
import { sweepWelcomeBodies } from '../../../store/welcome/welcomes.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { startApi, useApi } from '../../harness/api/use-api.ts';
import { type TestDevice, deviceOf, newUser } from '../../harness/key-packages/devices.ts';

const notified: string[] = [];
const notifier = {
  entry: () => undefined,
  read: () => undefined,
  device: (user: string, device: string) => void notified.push(`${user} ${device}`),
};
const { database, service } = useApi(() => ({ notifier }));

interface Listed {
  readonly device: string;
  readonly createdAt: string;
  readonly seenAt: string;
}

const devicesOf = async (device: TestDevice): Promise<readonly Listed[]> =>
  (await device.ask('GET /v1/devices')).body.devices as Listed[];

test('the list shows devices from their first request, with their stored packages', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  await phone.stock(3, true);
  const listed = await devicesOf(laptop);
  expect(listed).toMatchObject([
    { device: 'laptop', available: 0, lastResort: false, current: true },
    { device: 'phone', available: 3, lastResort: true, current: false },
  ]);
  expect(await devicesOf(await deviceOf(service, newUser('bob'), 'laptop'))).toHaveLength(1);
});

test('a process records a device once an hour', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const [first] = await devicesOf(phone);
  for (let i = 0; i < 5; i++) await phone.ask('GET /v1/conversations');
  expect(await devicesOf(phone)).toEqual([first]);
  // Another process has not seen it yet.
  const other = await startApi(database().pool);
  const [again] = await devicesOf(await deviceOf(other, phone.user));
  await other.close();
  expect(again?.createdAt).toBe(first?.createdAt);
  expect(Date.parse(again?.seenAt ?? '')).toBeGreaterThan(Date.parse(first?.seenAt ?? ''));
});

test('a forgotten device leaves no rows, and its unused key packages count as replaced', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  const bob = await deviceOf(service, newUser('bob'));
  await phone.stock(2, true);
  await laptop.stock(2);
  const conversation = await createConversation(service, [phone.user]);
  await welcomes(conversation, 1, [
    { user: phone.user, device: 'phone' },
    { user: phone.user, device: 'laptop' },
  ]);
  await welcomes(conversation, 2, [{ user: bob.user, device: 'phone' }]);
  await positions(conversation, phone.user, ['phone', 'laptop']);
  await bob.claim(phone.user);

  expect((await laptop.ask('DELETE /v1/devices/phone')).status).toBe(204);
  expect(notified).toContain(`${phone.user} phone`);
  expect(await devicesOf(laptop)).toMatchObject([{ device: 'laptop', available: 1 }]);
  expect(await bob.claim(phone.user, { devices: ['phone'] })).toEqual({ keyPackages: [], exhausted: [] });
  expect(await rowsOf('device_position', phone.user)).toEqual(['laptop']);
  expect(await rowsOf('welcome', phone.user)).toEqual(['laptop']);
  const { rows } = await database().pool.query<{ device: string; replaced: number }>(
    `select device_id as device, count(replaced_at)::int as replaced from key_package where user_id = $1
     group by device_id order by device_id`,
    [phone.user],
  );
  // This includes the claimed package: a Welcome for it is refused as stale.
  expect(rows).toEqual([
    { device: 'laptop', replaced: 0 },
    { device: 'phone', replaced: 3 },
  ]);
  // Another device still needs these bytes.
  expect(await bodies(conversation)).toEqual([1, 2]);
  expect((await laptop.ask('DELETE /v1/devices/laptop')).status).toBe(204);
  expect(await bodies(conversation)).toEqual([2]);
});

test('a user cannot forget the device of another user, or an unknown device', async () => {
  const phone = await deviceOf(service, newUser('alice'), 'only-mine');
  const bob = await deviceOf(service, newUser('bob'));
  await devicesOf(phone);
  for (const device of ['only-mine', 'toaster', encodeURIComponent('a\nb')]) {
    const answer = await bob.ask(`DELETE /v1/devices/${device}`);
    expect([answer.status, answer.body.code]).toEqual([404, 'not-found']);
  }
  expect(await devicesOf(phone)).toHaveLength(1);
});

test('a forgotten device is cut off, and is listed again when it logs in and uploads', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  await phone.stock(1);
  expect((await phone.ask('DELETE /v1/devices/phone')).status).toBe(204);
  expect(await devicesOf(laptop)).toMatchObject([{ device: 'laptop' }]);
  expect((await phone.ask('GET /v1/devices')).body.code).toBe('removed');
  const newLogin = await deviceLoggingIn(phone);
  await newLogin.stock(1);
  expect(await devicesOf(laptop)).toMatchObject([{ device: 'laptop' }, { device: 'phone', available: 1 }]);
});

/** The same device with a token that is younger than its removal. Times in tokens are whole seconds. */
async function deviceLoggingIn({ user, device }: TestDevice): Promise<TestDevice> {
  let found = await deviceOf(service, user, device);
  await waitUntil(
    async () => {
      found = await deviceOf(service, user, device);
      return (await found.ask('GET /v1/consent')).status === 200;
    },
    { what: 'a later token is accepted', everyMs: 100 },
  );
  return found;
}

test('a user who erases itself leaves every conversation, and all its devices are forgotten', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  const bob = await deviceOf(service, newUser('bob'));
  const conversations = [];
  for (let i = 0; i < 20; i++) conversations.push(await createConversation(service, [phone.user, bob.user]));
  const [first = ''] = conversations;
  const joining = await createConversation(service, [bob.user]);
  await phone.stock(2, true);
  await laptop.stock(1);
  await bob.stock(2);
  await bob.claim(phone.user);
  await phone.claim(bob.user);
  await welcomes(joining, 1, [
    { user: phone.user, device: '' },
    { user: phone.user, device: 'phone' },
  ]);
  await positions(first, phone.user, ['phone', 'laptop']);
  await database().pool.query(
    `with race as (insert into race (conversation, user_id, losses) select key, $2, 1 from conversation where id = $1)
     insert into staged (conversation, user_id, size, ciphertext) select key, $2, 0, '' from conversation where id = $1`,
    [first, phone.user],
  );

  expect((await phone.ask('DELETE /v1/me')).status).toBe(204);
  for (const table of ['device', 'device_position', 'welcome', 'key_package']) {
    expect([table, await rowsOf(table, phone.user)]).toEqual([table, []]);
  }
  for (const table of ['claim', 'race', 'staged']) {
    const { rowCount } = await database().pool.query(`select from ${table} where user_id = $1`, [phone.user]);
    expect([table, rowCount]).toEqual([table, 0]);
  }
  expect(await bodies(joining)).toEqual([]);
  expect(notified).toEqual(expect.arrayContaining([`${phone.user} phone`, `${phone.user} laptop`]));
  for (const conversation of conversations) {
    const answer = await bob.ask(`GET /v1/conversations/${conversation}/members`);
    expect(answer.body.leaving).toEqual([phone.user]);
  }
  // Data of other users stays, and a second erasure finds nothing.
  expect((await bob.ask('GET /v1/key-packages')).body).toMatchObject({ available: 1 });
  expect((await phone.ask('DELETE /v1/me')).status).toBe(204);
});

test('only its device can read a Welcome, any number of times until it acknowledges it', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  const bob = await deviceOf(service, newUser('bob'));
  const conversation = await createConversation(service, [phone.user, bob.user]);
  const other = await createConversation(service, [phone.user]);
  const [ofPhone] = await welcomes(conversation, 1, [
    { user: phone.user, device: 'phone' },
    { user: bob.user, device: 'phone' },
  ]);
  await welcomes(other, 5, [{ user: phone.user, device: 'phone' }]);

  const expected = [
    { id: ofPhone, conversation, welcome: base64('welcome 1'), seq: 1, epoch: 1 },
    { conversation: other, welcome: base64('welcome 5'), seq: 5 },
  ];
  for (let i = 0; i < 2; i++) expect((await phone.ask('GET /v1/welcomes')).body.welcomes).toMatchObject(expected);
  expect((await laptop.ask('GET /v1/welcomes')).body.welcomes).toEqual([]);
  expect((await bob.ask('GET /v1/welcomes')).body.welcomes).toHaveLength(1);
  for (const stranger of [laptop, bob]) {
    expect((await stranger.ask(`POST /v1/welcomes/${ofPhone}/ack`)).body.code).toBe('not-found');
  }
  expect((await phone.ask(`POST /v1/welcomes/${ofPhone}/ack`)).status).toBe(204);
  expect((await phone.ask(`POST /v1/welcomes/${ofPhone}/ack`)).status).toBe(404);
  expect((await phone.ask('GET /v1/welcomes')).body.welcomes).toMatchObject([{ conversation: other }]);
  // The bytes stay for the other user who was added by the same commit.
  expect(await bodies(conversation)).toEqual([1]);
  const [ofBob] = (await bob.ask('GET /v1/welcomes')).body.welcomes as { id: string }[];
  expect((await bob.ask(`POST /v1/welcomes/${ofBob?.id}/ack`)).status).toBe(204);
  expect(await bodies(conversation)).toEqual([]);
});

test('every device of a user can read a Welcome for the user until one acknowledges it', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  const conversation = await createConversation(service, [phone.user], { protocol: 'opaque' });
  const [id] = await welcomes(conversation, 1, [{ user: phone.user, device: '' }]);
  for (const device of [phone, laptop]) {
    expect((await device.ask('GET /v1/welcomes')).body.welcomes).toMatchObject([{ id }]);
  }
  expect((await laptop.ask(`POST /v1/welcomes/${id}/ack`)).status).toBe(204);
  expect((await phone.ask('GET /v1/welcomes')).body.welcomes).toEqual([]);
  expect(await bodies(conversation)).toEqual([]);
});

test('the sweep deletes Welcome bytes that no Welcome needs, and no others', async () => {
  await sweepWelcomeBodies(database().pool);
  const conversation = await createConversation(service);
  const user = newUser('alice');
  await welcomes(conversation, 1, [{ user, device: 'phone' }]);
  await welcomes(conversation, 2, []);
  await welcomes(conversation, 3, []);
  expect(await sweepWelcomeBodies(database().pool)).toEqual({ deleted: 2 });
  expect(await bodies(conversation)).toEqual([1]);
});

/** Stores the rows that a commit with a Welcome creates. @returns ids of the rows */
async function welcomes(
  conversation: string,
  seq: number,
  devices: readonly { user: string; device: string }[],
): Promise<string[]> {
  const { pool } = database();
  await pool.query(
    `insert into welcome_body (conversation, seq, welcome)
     select key, $2::bigint, convert_to('welcome ' || $2::bigint, 'UTF8') from conversation where id = $1`,
    [conversation, seq],
  );
  const ids = [];
  for (const { user, device } of devices) {
    const { rows } = await pool.query<{ id: string }>(
      `insert into welcome (conversation, user_id, device_id, seq, epoch)
       select key, $2, $3, $4, $4 from conversation where id = $1 returning id`,
      [conversation, user, device, seq],
    );
    ids.push(...rows.map(({ id }) => id));
  }
  return ids;
}

async function positions(conversation: string, user: string, devices: readonly string[]): Promise<void> {
  await database().pool.query(
    `insert into device_position (user_id, device_id, conversation, seq)
     select $2, d, key, 0 from conversation, unnest($3::text[]) d where id = $1`,
    [conversation, user, devices],
  );
}

/** Devices of a user in a table. */
async function rowsOf(table: string, user: string): Promise<string[]> {
  const { rows } = await database().pool.query<{ device: string }>(
    `select device_id as device from ${table} where user_id = $1 order by device_id`,
    [user],
  );
  return rows.map(({ device }) => device);
}

/** Seqs of the Welcomes whose bytes are stored. */
async function bodies(conversation: string): Promise<number[]> {
  const { rows } = await database().pool.query<{ seq: number }>(
    `select b.seq from welcome_body b join conversation c on c.key = b.conversation where c.id = $1 order by b.seq`,
    [conversation],
  );
  return rows.map(({ seq }) => seq);
}
