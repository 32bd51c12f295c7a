import { describe, expect, test } from 'vitest';
import type { MlsGroup, Policy } from '../../../client/index.ts';
import { ProblemError } from '../../../client/index.ts';
import type { OpenOptions, TestDevice } from '../../harness/mls-devices.ts';
import { agree, deviceOpener, follow, textsOf } from '../../harness/mls-devices.ts';
import { useService } from '../../harness/service.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const service = useService({ workers: 1 });
const open = deviceOpener(service);
let runs = 0;

interface Gathered {
  readonly id: string;
  readonly devices: readonly TestDevice[];
  readonly groups: readonly MlsGroup[];
}

/** Devices by name, alternating between the API processes. The first starts a group that all others join by Welcome. */
async function gather(
  names: readonly string[],
  { policy, ...options }: OpenOptions & { readonly policy?: Partial<Policy> } = {},
): Promise<Gathered> {
  const run = ++runs;
  const devices = await Promise.all(names.map((name, i) => open(named(name, run), { via: i % 2, ...options })));
  const [first, ...others] = devices;
  if (first === undefined) throw new Error('nobody');
  const { id } = await first.device.createGroup(policy);
  await first.device.invite(id, ...new Set(devices.map(({ device }) => device.user)));
  await Promise.all(others.map(({ device }) => device.joinGroups()));
  for (const { device } of devices) await device.sync();
  return { id, devices, groups: devices.map(({ device }) => device.group(id)) };
}

/** Makes a user name unique for a test run, so that `alice/phone` of two tests are different devices. */
function named(name: string, run = runs): string {
  return name.replace(/^[^/]+/, (user) => `${user}-${run}`);
}

const FAMILY = ['alice/phone', 'alice/laptop', 'bob/phone', 'bob/laptop', 'carol/phone', 'carol/laptop'];

describe('MLS devices at two API processes', () => {
  test('three users with two devices each join by one Welcome, and all decrypt the same messages in the same order', async () => {
    const { groups } = await gather(FAMILY);
    await Promise.all(groups.map((group, i) => group.send(`hello ${i}`)));
    for (const group of groups) await group.receive();
    expect(agree(groups)).toBe(true);
    const [first] = groups;
    expect(first?.members).toHaveLength(6);
    expect(first?.history).toHaveLength(6);
    for (const group of groups) {
      expect(group.history).toEqual(first?.history);
      expect(group.undecryptable).toEqual([]);
    }
  });

  test('another device of a member joins by external commit when no key package is left to claim', async () => {
    const { id, devices, groups } = await gather(['alice', 'bob']);
    const watch = await open(named('bob/watch'), { keyPackages: 0, via: 1 });
    const joined = await watch.device.joinExternally(id);
    await joined.send('from my wrist');
    for (const { device } of devices) await device.sync();
    await joined.receive();
    expect(agree([...groups, joined])).toBe(true);
    expect(groups.map(textsOf)).toEqual([['from my wrist'], ['from my wrist']]);
    expect((await service().clientOf(named('alice')).members(id)).members).toHaveLength(2);
  });

  test('an outsider joins by external commit under the policy `anyone` and learns nothing under another policy', async () => {
    const { id, groups } = await gather(['alice', 'bob'], { policy: { externalJoin: 'anyone' } });
    const eve = await open(named('eve'));
    const joined = await eve.device.joinExternally(id);
    for (const group of groups) await group.receive();
    expect(agree([...groups, joined])).toBe(true);
    const closed = await gather(['dave']);
    await expect(eve.device.joinExternally(closed.id)).rejects.toMatchObject({ status: 404, code: 'not-found' });
  });

  test('six devices that join by external commit at once all succeed, one epoch each', async () => {
    const { id, groups } = await gather(['alice']);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((device) => named(`alice/${device}`));
    const joiners = await Promise.all(names.map((name, i) => open(name, { via: i % 2 })));
    await Promise.all(joiners.map(({ device }) => device.joinExternally(id)));
    const all = [...groups, ...joiners.map(({ device }) => device.group(id))];
    for (const group of all) await group.receive();
    expect(agree(all)).toBe(true);
    expect(all[0]?.epoch).toBe(6);
  });

  test('a device that lost the state of a group rejoins at its own leaf, with the same key', async () => {
    const { id, devices, groups } = await gather(['alice', 'bob', 'carol']);
    const bob = devices[1]?.device;
    await bob?.forget(id);
    const again = await bob?.joinExternally(id);
    // Receive first: a message of the old epoch could not be read by a device that joined after it.
    await groups[0]?.receive();
    await groups[0]?.send('there you are');
    const all = [groups[0], again, groups[2]].flatMap((group) => group ?? []);
    for (const group of all) await group.receive();
    expect(agree(all)).toBe(true);
    expect(all[0]?.members).toHaveLength(3);
    expect(all.map((group) => textsOf(group).at(-1))).toEqual(Array(3).fill('there you are'));
  });

  test('a user who left comes back by invitation and reads messages from then on', async () => {
    const { id, devices, groups } = await gather(['alice', 'bob', 'bob/laptop', 'carol']);
    const [alice, bob, laptop, carol] = groups;
    await alice?.send('before');
    await bob?.leave();
    await expect(bob?.send('one more thing')).rejects.toBeInstanceOf(Error);
    await alice?.receive();
    await alice?.send('bob is gone'); // commits the leaving first
    await carol?.receive();
    expect(carol?.members).toEqual([named('alice'), named('carol')]);
    await devices[0]?.device.invite(id, named('bob'));
    for (const { device } of devices) await device.sync();
    await alice?.send('welcome back');
    for (const { device } of devices) await device.sync();
    const now = devices.map(({ device }) => device.group(id));
    expect(agree(now)).toBe(true);
    expect(now.map(textsOf)).toEqual([
      ['before', 'bob is gone', 'welcome back'],
      ['before', 'welcome back'],
      ['before', 'welcome back'],
      ['before', 'bob is gone', 'welcome back'],
    ]);
    expect(laptop?.isRemoved).toBe(true);
  });

  test('a removed member gets the removing commit and nothing after it, from a stream or from the log (invariant 8)', async () => {
    const { id, devices, groups } = await gather(['alice', 'bob', 'carol']);
    const carol = devices[2]?.device;
    if (carol === undefined) throw new Error('no carol');
    const errors: unknown[] = [];
    follow(carol, errors);
    await groups[0]?.send('before');
    await groups[0]?.remove(carol.user);
    await groups[0]?.send('after');
    await waitUntil(() => carol.group(id).isRemoved, { what: 'carol knows' });
    await carol.group(id).receive();
    expect(textsOf(carol.group(id))).toEqual(['before']);
    await expect(carol.group(id).send('still here?')).rejects.toBeInstanceOf(Error);
    await expect(carol.joinExternally(id)).rejects.toSatisfy(
      (error) => error instanceof ProblemError && ['removed', 'not-found'].includes(error.code),
    );
    expect(errors).toEqual([]);
  });
});
