import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Entry, LogEvent, MlsGroup } from '../../../client/index.ts';
import { createHttp, LogAlteredError, ParleyClient } from '../../../client/index.ts';
import { walk } from '../../harness/honest-walk.ts';
import type { LyingProxy, Tamper } from '../../harness/lying-proxy.ts';
import { startLyingProxy } from '../../harness/lying-proxy.ts';
import { type TestDevice, deviceOpener, textsOf } from '../../harness/mls-devices.ts';
import { useService } from '../../harness/service.ts';

/** Alice and Bob see the log as it is. Carol sees it through a service that lies to her. */
const service = useService({ apis: 1, workers: 1 });
const open = deviceOpener(service);
let proxy: LyingProxy;
let devices: readonly [TestDevice, TestDevice, TestDevice];
const told = new Map<string, LogEvent[]>();

beforeAll(async () => {
  proxy = await startLyingProxy(() => service().urls()[0] ?? '');
  const listen = (name: string) => ({
    onLogEvent: (_group: MlsGroup, event: LogEvent): void => void told.set(name, [...(told.get(name) ?? []), event]),
  });
  const token = (): string | Promise<string> => service().token('carol', { device: 'phone' });
  const api = new ParleyClient(createHttp({ baseUrl: proxy.url, token }));
  devices = [
    await open('alice', listen('alice')),
    await open('bob', listen('bob')),
    await open('carol', { ...listen('carol'), api }),
  ];
});
afterAll(() => proxy.close());

interface Trio {
  readonly alice: MlsGroup;
  readonly bob: MlsGroup;
  readonly carol: MlsGroup;
}

/** A new group whose members have read the same log, and messages of alice that only she knows to be complete. */
async function trio(): Promise<Trio> {
  // In the groups before, Carol would notice that the lie is over: it does not fit what she has read.
  for (const { device } of devices) for (const id of device.groups.keys()) await device.forget(id);
  told.clear();
  Object.assign(proxy, { tamper: (entries: readonly Entry[]) => entries, isConsistent: true, keepsMessages: false });
  const [alice, bob, carol] = devices;
  const { id } = await alice.device.createGroup();
  await alice.device.invite(id, 'bob', 'carol');
  for (const { device } of [bob, carol]) await device.joinGroups();
  for (const { device } of devices) await device.sync();
  return { alice: alice.device.group(id), bob: bob.device.group(id), carol: carol.device.group(id) };
}

const alarmsOf = (name: string): readonly LogEvent[] => told.get(name) ?? [];
/** Places of the application messages. */
const messages = (entries: readonly Entry[]): number[] =>
  entries.flatMap(({ kind }, place) => (kind === 'application' ? [place] : []));
const at = (entries: readonly Entry[], place: number | undefined): Entry[] => entries.slice(place, (place ?? 0) + 1);

/** Each lie is about the second of three messages. */
const LIES: readonly (readonly [string, Tamper, readonly string[]])[] = [
  ['drops a message', (entries) => entries.filter((_entry, place) => place !== messages(entries)[1]), ['one', 'three']],
  [
    'swaps two messages',
    (entries) => {
      const [, second = 0, third = 0] = messages(entries);
      return [...entries.slice(0, second), ...at(entries, third), ...at(entries, second), ...entries.slice(third + 1)];
    },
    ['one', 'three', 'two'],
  ],
  [
    'repeats a message',
    (entries) => {
      const second = messages(entries)[1] ?? 0;
      return [...entries.slice(0, second + 1), ...entries.slice(second)];
    },
    ['one', 'two', 'three'],
  ],
  [
    'changes a message',
    (entries) =>
      entries.map((entry, place) => {
        if (place !== messages(entries)[1]) return entry;
        const bytes = Buffer.from(entry.ciphertext ?? '', 'base64');
        bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
        return { ...entry, ciphertext: bytes.toString('base64') };
      }),
    ['one', 'three'],
  ],
];

/** The next message of a member that has read on crosses from the one log to the other. */
async function cross({ alice, bob, carol }: Trio): Promise<void> {
  const leafOf = (user: string) => ({ type: 'fork-suspected', user, epoch: alice.epoch });
  await bob.receive();
  const { seq } = await bob.send('from bob');
  await carol.receive();
  expect(alarmsOf('carol')).toMatchObject([leafOf('bob')]);
  const [alarm] = alarmsOf('carol');
  if (alarm?.type !== 'fork-suspected') throw new Error('not told');
  expect(alarm.theirs).toEqual({ seq: seq - 1, chain: bob.verified?.chain });
  expect(alarm.mine?.chain).not.toBe(alarm.theirs.chain);
  // Once for each member: a second message of bob says nothing new.
  await bob.send('again from bob');
  await carol.receive();
  expect(alarmsOf('carol')).toHaveLength(1);
  // And the other way.
  await carol.send('from carol');
  await alice.receive();
  await bob.receive();
  for (const name of ['alice', 'bob']) expect(alarmsOf(name)).toMatchObject([leafOf('carol')]);
  // Nothing rejoins, and what can be read is read.
  expect(textsOf(carol)).toEqual(expect.arrayContaining(['from bob', 'again from bob']));
  expect(alice.epochAuthenticator).toBe(carol.epochAuthenticator);
}

describe('a service that lies to one of three members, each log fitting in itself', () => {
  test.each(LIES)('and %s: told at the first authentic message that crosses', async (_what, tamper, seen) => {
    const group = await trio();
    proxy.tamper = tamper;
    // Alice does not read what she sends, so her messages state the log before the lie.
    for (const text of ['one', 'two', 'three']) await group.alice.send(text);
    await group.carol.receive();
    expect(textsOf(group.carol)).toEqual(seen);
    expect([...told.keys()]).toEqual([]);
    await cross(group);
  });

  test('and forks the log: told at the first authentic message that crosses', async () => {
    const group = await trio();
    proxy.keepsMessages = true;
    await group.carol.send('nobody hears this');
    await group.alice.send('carol hears this');
    await group.carol.receive();
    expect(textsOf(group.carol)).toEqual(['nobody hears this', 'carol hears this']);
    expect([...told.keys()]).toEqual([]);
    proxy.keepsMessages = false;
    await cross(group);
    expect(textsOf(group.alice)).not.toContain('nobody hears this');
  });

  test('and changes a message without the values after it: nothing is processed from there on', async () => {
    const { alice, carol } = await trio();
    const change = LIES[3]?.[1] ?? proxy.tamper;
    Object.assign(proxy, { tamper: change, isConsistent: false });
    for (const text of ['one', 'two', 'three']) await alice.send(text);
    await expect(carol.receive()).rejects.toThrow(LogAlteredError);
    await expect(carol.receive()).rejects.toThrow(LogAlteredError);
    expect(textsOf(carol)).toEqual(['one']);
    expect(alarmsOf('carol')).toMatchObject([{ type: 'log-altered', seq: carol.position + 1 }]);
    proxy.tamper = (entries) => entries;
    await carol.receive();
    expect(textsOf(carol)).toEqual(['one', 'two', 'three']);
  });
});

test('no device of an honest service raises an alarm in random steps (10,000 in test/long/honest-log.test.ts)', async () => {
  const steps = 120;
  const { alarms, heard } = await walk(service(), { seed: 2, steps });
  expect(alarms).toEqual([]);
  expect(heard.get('agreed')).toBeGreaterThan(steps / 4);
});
