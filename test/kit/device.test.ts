import { beforeEach, describe, expect, test } from 'vitest';
import { fromBase64, sha256Hex } from './bytes.ts';
import type { DeviceOptions } from './device.ts';
import { MlsDevice } from './device.ts';
import { FakeService } from './fake-service.ts';
import type { MlsGroup } from './group.ts';

let service: FakeService;
const devices = (options: Partial<DeviceOptions>, ...users: string[]): Promise<MlsDevice[]> =>
  Promise.all(users.map((user) => MlsDevice.create({ api: service.api(user), user, ...options })));

/** Alice's group with bob and carol in it. */
async function makeGroups(options: Partial<DeviceOptions> = {}): Promise<[MlsGroup, MlsGroup, MlsGroup]> {
  const [alice, ...others] = await devices(options, 'alice', 'bob', 'carol');
  const group = await alice?.createGroup();
  if (group === undefined) throw new Error('no group');
  await group.add(await Promise.all(others.map((device) => device.offerKeyPackage())));
  const joined = (await Promise.all(others.map((device) => device.joinGroups()))).flat();
  const [bob, carol] = joined;
  if (bob === undefined || carol === undefined) throw new Error('not joined');
  return [group, bob, carol];
}

const texts = (group: MlsGroup): string[] => group.history.map(({ text }) => text);

describe.each([{ publicCommits: false }, { publicCommits: true }])('MlsDevice with %o', (options) => {
  beforeEach(() => {
    service = new FakeService();
  });

  test('adds two with one commit and Welcome, and all read the same messages in the same order', async () => {
    const [alice, bob, carol] = await makeGroups(options);
    await Promise.all([alice.send('one'), bob.send('two'), carol.send('three')]);
    for (const group of [alice, bob, carol]) await group.receive();
    expect(texts(alice).sort()).toEqual(['one', 'three', 'two']);
    expect(bob.history).toEqual(alice.history);
    expect(carol.history).toEqual(alice.history);
    expect(new Set([alice, bob, carol].map((group) => group.epochAuthenticator)).size).toBe(1);
    expect(alice.members).toEqual(['alice', 'bob', 'carol']);
  });

  test('the loser of a commit race processes the winner and commits again', async () => {
    const [alice, bob, carol] = await makeGroups(options);
    await Promise.all([bob.update(), carol.update()]);
    const conflicts = [...bob.conflicts, ...carol.conflicts];
    const winner = service.log(alice.id).find(({ kind, epoch }) => kind === 'commit' && epoch === 1);
    const sha256 = sha256Hex(fromBase64(winner?.ciphertext ?? ''));
    expect(conflicts).toMatchObject([{ submittedEpoch: 1, currentEpoch: 2, winner: { seq: 2, sha256 } }]);
    for (const group of [alice, bob, carol]) await group.receive();
    expect([alice.epoch, bob.epoch, carol.epoch]).toEqual([3, 3, 3]);
    expect(new Set([alice, bob, carol].map((group) => group.epochAuthenticator)).size).toBe(1);
  });

  test('nine commits at once all succeed in the end', async () => {
    const groups = await makeGroups(options);
    await Promise.all(Array.from({ length: 9 }, async (_, i) => groups[i % 3]?.update()));
    for (const group of groups) await group.receive();
    expect(groups.map(({ epoch }) => epoch)).toEqual([10, 10, 10]);
    expect(new Set(groups.map((group) => group.epochAuthenticator)).size).toBe(1);
  });

  test('a commit whose answer was lost is recognised in the log', async () => {
    const [alice, bob] = await makeGroups(options);
    service.loseNextAnswer = true;
    await expect(bob.update()).rejects.toThrow('connection lost');
    expect(bob.epoch).toBe(1);
    await bob.update(); // loses to its own first commit
    expect(bob.conflicts).toHaveLength(1);
    await alice.receive();
    expect(alice.epoch).toBe(3);
    expect(bob.epochAuthenticator).toBe(alice.epochAuthenticator);
  });

  test('a message that is too old is encrypted again for the current epoch', async () => {
    const [alice, bob] = await makeGroups(options);
    for (let i = 0; i < 3; i++) await alice.update();
    const { epoch } = await bob.send('late');
    expect(epoch).toBe(4);
    await alice.receive();
    expect(texts(alice)).toEqual(['late']);
  });

  test('a removed member reads its removal and nothing after it', async () => {
    const [alice, bob, carol] = await makeGroups(options);
    await alice.send('before');
    await alice.remove('carol');
    await alice.send('after');
    await Promise.all([bob.receive(), carol.receive()]);
    expect(texts(carol)).toEqual(['before']);
    expect(carol.isRemoved).toBe(true);
    expect(texts(bob)).toEqual(['before', 'after']);
    await expect(carol.send('still here?')).rejects.toThrow();
    await bob.remove('carol'); // nothing left to do
    expect(bob.epoch).toBe(2);
  });

  test('joiners can renew their keys at once', async () => {
    const groups = await makeGroups({ ...options, updateOnJoin: true });
    for (const group of groups) await group.receive();
    expect(groups.map(({ epoch }) => epoch)).toEqual([3, 3, 3]);
  });
});
