import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { sweepKeyPackages } from '../../../store/key-package/key-packages.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useReplicas } from '../../harness/streams/replica.ts';
import { delivered, deliveredNews, untilEnd, wordsOf } from '../../harness/streams/delivered.ts';

const {
  database,
  talk,
  /** The third hears no notifications. */
  replicas: [one, other, deaf],
} = useReplicas({}, {}, { deaf: true });
let count = 0;
const someone = (name: string): string => `${name}-${++count}`;

async function devicesOf(user: string): Promise<string[]> {
  const { devices } = (await talk.expect('GET /v1/devices', user)) as { devices: { device: string }[] };
  return devices.map(({ device }) => device);
}

test('a newer stream of a device ends the older one also when no notification arrives', async () => {
  const bob = someone('bob');
  const first = await deaf.follow(bob, 'phone');
  const second = await one.follow(bob, 'phone');
  expect(await untilEnd(first)).toEqual({ event: 'replaced' });
  expect(second.endedAt()).toBeUndefined();
});

test('the streams of a forgotten device end also when no notification arrives', async () => {
  const bob = someone('bob');
  const [phone, laptop] = [await deaf.follow(bob, 'phone'), await deaf.follow(bob, 'laptop')];
  await talk.expect('DELETE /v1/devices/phone', bob);
  expect(await untilEnd(phone)).toEqual({ event: 'replaced' });
  expect(laptop.endedAt()).toBeUndefined();
});

test('a stream of a device without a record ends when the device is forgotten', async () => {
  const bob = someone('bob');
  const phone = await other.follow(bob, 'phone');
  // The record is written in the background. If it came after the statement below, there would be a device to forget.
  await waitUntil(async () => (await devicesOf(bob)).includes('phone'), { what: 'the device is known' });
  await database().pool.query('delete from device where user_id = $1', [bob]);
  expect((await one.service.ask('DELETE /v1/devices/phone', { user: bob })).status).toBe(404);
  expect(await untilEnd(phone)).toEqual({ event: 'replaced' });
});

test('a forgotten device that comes back, by a stream or by any request, is known again and can be forgotten again', async () => {
  const bob = someone('bob');
  // Of its tokens, those count that are younger than its removal: it logs in again.
  const phone = async (): Promise<{ headers: { authorization: string } }> => ({
    headers: { authorization: `Bearer ${await tokenOf(bob, { device: 'phone' })}` },
  });
  for (const comeBack of [
    () => one.follow(bob, 'phone'),
    async () => one.service.ask('GET /v1/welcomes', await phone()),
    async () => other.service.ask('GET /v1/welcomes', await phone()),
    () => other.follow(bob, 'phone'),
  ]) {
    // The notification that the device was forgotten may come late: only a request after it records the device.
    await waitUntil(
      async () => {
        await comeBack();
        return (await devicesOf(bob)).includes('phone');
      },
      { what: 'the device is known' },
    );
    // A request of this round may be noted a moment later: then the device is forgotten once more.
    await waitUntil(
      async () => {
        await one.service.ask('DELETE /v1/devices/phone', { user: bob });
        return !(await devicesOf(bob)).includes('phone');
      },
      { what: 'the phone is forgotten' },
    );
  }
});

test('erasing a user ends all its streams, in every process', async () => {
  const bob = someone('bob');
  const streams = await Promise.all([one.follow(bob, 'a'), other.follow(bob, 'b'), deaf.follow(bob, 'c')]);
  expect((await one.service.ask('DELETE /v1/me', { user: bob })).status).toBe(204);
  for (const stream of streams) expect(await untilEnd(stream)).toEqual({ event: 'replaced' });
});

/** A device whose key packages have all expired. */
async function expire(user: string, device: string): Promise<void> {
  await database().pool.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after)
     values ($1, $2, $3, 1, 'key package', false, now() - interval '1 second')`,
    [randomBytes(32), user, device],
  );
}

test('a stock that became low because packages expired is delivered when a stream opens, and after a sweep while it is open', async () => {
  const bob = someone('bob');
  const open = await deaf.follow(bob, 'laptop');
  await expire(bob, 'phone');
  await expire(bob, 'laptop');
  const phone = await one.follow(bob, 'phone');
  await waitUntil(() => deliveredNews(phone).length === 1, { what: 'it is delivered at the opening' });
  expect(deliveredNews(open)).toEqual([]);
  await sweepKeyPackages(database().pool);
  await waitUntil(() => deliveredNews(open).length === 1, { what: 'the sweep finds it' });
  await sweepKeyPackages(database().pool);
  const conversation = await talk.create(someone('alice'), bob);
  for (const stream of [phone, open]) {
    await waitUntil(() => wordsOf(stream, conversation).includes('new'), { what: 'the stream delivers' });
    expect(delivered(stream).filter(({ event }) => event === 'low-stock')).toEqual([
      { event: 'low-stock', available: 0 },
    ]);
  }
});
