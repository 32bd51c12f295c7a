import { beforeEach, describe, expect, test, vi } from 'vitest';
import { fromBase64, sha256Hex } from '../../../client/platform/bytes.ts';
import type { DeviceOptions } from '../../../client/device/device.ts';
import type { RejoinReason } from '../../../client/group/group-repair.ts';
import { MlsDevice, newGroupId } from '../../../client/device/device.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { FakeService, problem } from '../../harness/fake-service.ts';
import type { MlsGroup } from '../../../client/group/group.ts';
import { memoryStore } from '../../../client/storage/device-store.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

let service: FakeService;

type Options = Partial<DeviceOptions>;

/** Opens a device by its name, as `alice` or `alice/tablet`. */
function open(name: string, options: Options = {}): Promise<MlsDevice> {
  const [user = '', device = 'phone'] = name.split('/');
  return MlsDevice.open({ mls: tsMls, api: service.api(user, device), user, device, keyPackages: 3, ...options });
}

/** Devices of which the first started a group and invited the users of all others, who joined. */
async function gather(names: readonly string[], options: Options = {}): Promise<MlsDevice[]> {
  const devices: MlsDevice[] = [];
  for (const name of names) devices.push(await open(name, options));
  const [first, ...others] = devices;
  const group = await first?.createGroup();
  await first?.invite(group?.id ?? '', ...new Set(devices.map(({ user }) => user)));
  for (const device of others) await device.joinGroups();
  for (const device of devices) await device.sync();
  return devices;
}

const groupOf = (device: MlsDevice | undefined): MlsGroup => {
  const [group] = device?.groups.values() ?? [];
  if (group === undefined) throw new Error('not in a group');
  return group;
};
const groupsOf = (devices: readonly MlsDevice[]): MlsGroup[] => devices.map(groupOf);

/** Alice's group with bob and carol in it. */
async function trio(options: Options = {}): Promise<[MlsGroup, MlsGroup, MlsGroup]> {
  const [alice, bob, carol] = groupsOf(await gather(['alice', 'bob', 'carol'], options));
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error('not three');
  return [alice, bob, carol];
}

const texts = (group: MlsGroup): string[] => group.history.map(({ text }) => text);
const authenticators = (groups: readonly MlsGroup[]): number =>
  new Set(groups.map((group) => group.epochAuthenticator)).size;

beforeEach(() => {
  service = new FakeService();
});

describe.each([{ publicCommits: false }, { publicCommits: true }])('MlsDevice with %o', (options) => {
  test('adds two with one commit and Welcome, and all read the same messages in the same order', async () => {
    const [alice, bob, carol] = await trio(options);
    await Promise.all([alice.send('one'), bob.send('two'), carol.send('three')]);
    for (const group of [alice, bob, carol]) await group.receive();
    expect(texts(alice).sort()).toEqual(['one', 'three', 'two']);
    expect(bob.history).toEqual(alice.history);
    expect(carol.history).toEqual(alice.history);
    expect(new Set(alice.history.map(({ sender }) => sender))).toEqual(new Set(['alice', 'bob', 'carol']));
    expect(authenticators([alice, bob, carol])).toBe(1);
    expect(alice.members).toEqual(['alice', 'bob', 'carol']);
  });

  test('reads what came before its own commits, however many it makes before it looks at the log', async () => {
    const [alice, bob] = await trio(options);
    const sent = ['one', 'two', 'three', 'four', 'five', 'six'];
    for (const text of sent) {
      await alice.receive();
      await alice.send(text);
      // Nobody has won this epoch: the service takes the commit, and says nothing of the message before it.
      await bob.update();
    }
    await bob.receive();
    expect(texts(bob)).toEqual(sent);
    expect(bob.undecryptable).toEqual([]);
  });

  test('the loser of two concurrent commits processes the winner and commits again', async () => {
    const [alice, bob, carol] = await trio({ ...options, updateOnJoin: false });
    await Promise.all([bob.update(), carol.update()]);
    const conflicts = [...bob.conflicts, ...carol.conflicts];
    const winner = service.log(alice.id).find(({ kind, epoch }) => kind === 'commit' && epoch === 1);
    const sha256 = await sha256Hex(fromBase64(winner?.ciphertext ?? ''));
    expect(conflicts).toMatchObject([{ submittedEpoch: 1, currentEpoch: 2, winner: { seq: 2, sha256 } }]);
    for (const group of [alice, bob, carol]) await group.receive();
    expect([alice.epoch, bob.epoch, carol.epoch]).toEqual([3, 3, 3]);
    expect(authenticators([alice, bob, carol])).toBe(1);
  });

  test('nine commits at once all succeed in the end', async () => {
    const groups = await trio(options);
    const before = groups[0].epoch;
    await Promise.all(Array.from({ length: 9 }, async (_, i) => groups[i % 3]?.update()));
    for (const group of groups) await group.receive();
    expect(groups.map(({ epoch }) => epoch)).toEqual(Array(3).fill(before + 9));
    expect(authenticators(groups)).toBe(1);
  });

  test('a commit whose answer was lost is recognised in the log', async () => {
    const [alice, bob] = await trio({ ...options, updateOnJoin: false });
    service.loseNextAnswer = true;
    await expect(bob.update()).rejects.toThrow('connection lost');
    expect(bob.epoch).toBe(1);
    await bob.remove('carol'); // loses to its own first commit
    expect(bob.conflicts).toHaveLength(1);
    await alice.receive();
    expect(alice.epoch).toBe(3);
    expect(bob.epochAuthenticator).toBe(alice.epochAuthenticator);
  });

  test('a commit without an answer is sent again with the same bytes, however often', async () => {
    const alice = await open('alice', options);
    const bobs = service.api('bob');
    const commits: unknown[] = [];
    let isBusy = false;
    const store = memoryStore();
    const api: typeof bobs = {
      ...bobs,
      commit: async (id, bundle) => {
        commits.push(bundle);
        if (isBusy) throw problem(503, 'unavailable', {});
        return bobs.commit(id, bundle);
      },
    };
    const bob = await open('bob', { ...options, api, store });
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await bob.sync();
    await open('carol', options);
    await alice.sync();
    await alice.invite(id, 'carol');
    await alice.group(id).proposeRemove('carol');
    const group = bob.group(id);
    await group.receive();
    await group.enqueue({ id: 'm', text: 'hello', at: 0 });
    isBusy = true;
    commits.length = 0;
    for (let i = 0; i < 3; i++) await expect(group.deliver()).rejects.toMatchObject({ status: 503 });
    expect(commits).toEqual([commits[0], commits[0], commits[0]]);
    const { pending } = JSON.parse((await store.get(`group/${id}`)) ?? '') as { pending: unknown[] };
    expect(pending).toHaveLength(1);
    isBusy = false;
    await group.deliver();
    await alice.group(id).receive();
    expect(texts(alice.group(id))).toEqual(['hello']);
    expect(alice.group(id).members).toEqual(['alice', 'bob']);
    // The service had taken it, and another try of the same gets its answer.
    service.loseNextAnswer = true;
    await expect(group.update()).rejects.toThrow('connection lost');
    const { length } = service.log(id);
    await group.update();
    expect(service.log(id)).toHaveLength(length);
  });

  test('a message that is too old is encrypted again for the current epoch', async () => {
    const [alice, bob] = await trio(options);
    for (let i = 0; i < 3; i++) await alice.update();
    const { epoch } = await bob.send('late');
    expect(epoch).toBe(alice.epoch);
    await alice.receive();
    expect(texts(alice)).toEqual(['late']);
  });

  test('a removed member reads its removal and nothing after it', async () => {
    const [alice, bob, carol] = await trio(options);
    await alice.send('before');
    await alice.remove('carol');
    await alice.send('after');
    await Promise.all([bob.receive(), carol.receive()]);
    expect(texts(carol)).toEqual(['before']);
    expect(carol.isRemoved).toBe(true);
    expect(texts(bob)).toEqual(['before', 'after']);
    await expect(carol.send('still here?')).rejects.toThrow();
    const { epoch } = bob;
    await bob.remove('carol'); // nothing left to do
    expect(bob.epoch).toBe(epoch);
  });

  test('two who propose the same removal do not stop the group from sending', async () => {
    const [alice, bob, carol] = await trio(options);
    await Promise.all([alice.proposeRemove('carol'), bob.proposeRemove('carol')]);
    for (const group of [alice, bob, carol]) await group.receive();
    expect([alice, bob].map((group) => group.pendingProposals)).toEqual([2, 2]);
    await bob.send('still here');
    await alice.send('so am I');
    for (const group of [alice, bob, carol]) await group.receive();
    expect(texts(alice)).toEqual(['still here', 'so am I']);
    expect(bob.history).toEqual(alice.history);
    expect(alice.members).toEqual(['alice', 'bob']);
    expect(carol.isRemoved).toBe(true);
  });

  test('a member whose removal is proposed, but not committed, can still send', async () => {
    const [alice, bob, carol] = await trio(options);
    await bob.proposeRemove('carol');
    await carol.receive();
    await carol.send('why?');
    await alice.receive();
    expect(texts(alice)).toEqual(['why?']);
    await alice.remove('carol'); // a pending Remove is not proposed again
    expect(alice.members).toEqual(['alice', 'bob']);
  });

  test('a member leaves with all its devices, is removed by another, and comes back by invitation', async () => {
    const devices = await gather(['alice', 'bob', 'carol', 'carol/tablet'], options);
    const [alice, bob, carol, tablet] = groupsOf(devices);
    if (alice === undefined || carol === undefined || tablet === undefined || bob === undefined)
      throw new Error('four');
    await carol.send('bye');
    await carol.leave();
    expect(carol.isRemoved).toBe(true);
    await bob.receive();
    await bob.commitPending();
    for (const group of [alice, tablet]) await group.receive();
    expect(alice.members).toEqual(['alice', 'bob']);
    expect(tablet.isRemoved).toBe(true);
    await devices[0]?.invite(alice.id, 'carol');
    for (const device of devices.slice(2)) await device.sync();
    await alice.send('welcome back');
    for (const device of devices) await device.sync();
    const groups = groupsOf(devices);
    expect(groups.map((group) => texts(group).at(-1))).toEqual(Array(4).fill('welcome back'));
    expect(authenticators(groups)).toBe(1);
  });
});

describe('MlsDevice', () => {
  test('invites every device of a user, and says which have no key package left', async () => {
    const [phone, tablet, watch] = [await open('bob/phone'), await open('bob/tablet'), await open('bob/watch')];
    const alice = await open('alice');
    const { id } = await alice.createGroup();
    service.keyPackages.empty({ user: 'bob', device: 'watch' });
    const { invited, exhausted } = await alice.invite(id, 'bob', 'nobody');
    expect(invited).toEqual(['bob']);
    expect(exhausted).toEqual([{ user: 'bob', device: 'watch' }]);
    expect(await Promise.all([phone, tablet].map(async (device) => (await device.joinGroups()).length))).toEqual([
      1, 1,
    ]);
    await watch.joinExternally(id);
    for (const device of [alice, phone, tablet, watch]) await device.sync();
    expect(groupOf(alice).members).toEqual(['alice', 'bob', 'bob', 'bob']);
    expect(authenticators(groupsOf([alice, phone, tablet, watch]))).toBe(1);
  });

  test('uploads missing key packages, and a new last resort after its use', async () => {
    const bob = await open('bob');
    const alice = await open('alice');
    for (let i = 0; i < 5; i++) {
      const { id } = await alice.createGroup();
      await alice.invite(id, 'bob');
      await bob.joinGroups();
      await groupOf(alice).receive();
    }
    expect(bob.groups.size).toBe(5);
    const api = service.api('bob');
    expect(await api.keyPackageCount()).toMatchObject({ available: 0, lastResort: true });
    await bob.keyPackages.topUp();
    expect(await api.keyPackageCount()).toMatchObject({ available: 3, lastResort: true });
  });

  test('claims again when a device replaced its key packages', async () => {
    const bob = await open('bob');
    const alice = await open('alice');
    const { id } = await alice.createGroup();
    service.keyPackages.onNextClaim = () => bob.keyPackages.replace();
    await alice.invite(id, 'bob');
    await bob.joinGroups();
    await groupOf(alice).receive();
    expect(groupOf(bob).epochAuthenticator).toBe(groupOf(alice).epochAuthenticator);
  });

  test('keeps the secrets of a key package as long as a Welcome may need them', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const store = memoryStore();
      const bob = await open('bob', { store });
      const spare = await bob.keyPackages.spare();
      const days = 24 * 3600 * 1000;
      const now = Date.now();
      const keys = (): Promise<string[]> => store.keys('key-package/');
      // It ends after 28 days, and a Welcome waits for 30.
      vi.setSystemTime(now + 57 * days);
      await bob.keyPackages.topUp();
      expect(await keys()).toHaveLength(5);
      vi.setSystemTime(now + 59 * days);
      await bob.keyPackages.topUp();
      expect(await keys()).toHaveLength(4);
      expect(await keys()).not.toContain(`key-package/${spare.ref}`);
    } finally {
      vi.useRealTimers();
    }
  });

  test('gives up a key package in the write that saves its group, so that a crash leaves no Welcome for it', async () => {
    const store = memoryStore();
    let left: string[] = [];
    const write: typeof store.write = async (changes) => {
      await store.write(changes);
      if (changes.some(([key]) => key.startsWith('group/'))) left = await store.keys('key-package/');
    };
    const [alice, bob] = [await open('alice'), await open('bob', { store: { ...store, write }, updateOnJoin: false })];
    const { id } = await alice.createGroup();
    const before = await store.keys('key-package/');
    await alice.invite(id, 'bob');
    await bob.joinGroups();
    expect(left).toHaveLength(before.length - 1);
  });

  test('replaces a last resort by which it joined, also after a crash', async () => {
    const honest = service.api('bob');
    const store = memoryStore();
    const api: typeof honest = { ...honest };
    const bob = await open('bob', { store, api, keyPackages: 0 });
    const alice = await open('alice');
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    api.uploadKeyPackages = () => Promise.reject(new TypeError('connection lost'));
    await expect(bob.joinGroups()).rejects.toThrow('some groups could not be joined');
    const again = await open('bob', { store: memoryStore(store.entries()), keyPackages: 0 });
    const claimed = async (): Promise<string | undefined> =>
      (await service.api('alice').claimKeyPackages('bob', { conversation: id })).keyPackages[0]?.keyPackage;
    const used = await claimed();
    await again.joinGroups();
    expect(await claimed()).not.toBe(used);
    expect(await honest.welcomes()).toEqual([]);
  });

  test('begins no group a second time with a Welcome for its last resort, as long as it has the secrets', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const honest = service.api('bob');
      const store = memoryStore();
      const reasons: RejoinReason[] = [];
      const api: typeof honest = { ...honest };
      const onRejoin: DeviceOptions['onRejoin'] = (_group, reason) => void reasons.push(reason);
      const bob = await open('bob', { store, api, onRejoin, keyPackages: 0, updateOnJoin: false });
      const alice = await open('alice');
      const { id } = await alice.createGroup();
      await alice.invite(id, 'bob');
      const welcomes = await honest.welcomes();
      await bob.joinGroups();
      const { epoch } = bob.group(id);
      await bob.group(id).send('with the first key');
      await bob.forget(id);

      // As a restored service does.
      api.welcomes = () => Promise.resolve(welcomes);
      await bob.joinGroups();
      expect(reasons).toMatchObject([{ kind: 'welcome-refused', cause: { message: 'the Welcome was used before' } }]);
      expect(bob.group(id).epoch).toBe(epoch + 1);
      await bob.group(id).send('with another key');
      await groupOf(alice).receive();
      expect(texts(groupOf(alice))).toEqual(['with the first key', 'with another key']);

      // The key package ends after 28 days, and a Welcome waits for 30.
      const days = 24 * 3600 * 1000;
      const now = Date.now();
      vi.setSystemTime(now + 57 * days);
      await bob.keyPackages.topUp();
      expect(await store.keys('begun/')).toHaveLength(1);
      vi.setSystemTime(now + 59 * days);
      await bob.keyPackages.topUp();
      expect(await store.keys('begun/')).toEqual([]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('refuses to invite a device that comes with another key', async () => {
    await open('bob');
    const alice = await open('alice');
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    const impostor = await open('bob'); // the same device id, a new store
    await impostor.keyPackages.replace();
    const { id: other } = await alice.createGroup();
    await expect(alice.invite(other, 'bob')).rejects.toThrow('is not a known key of bob');
  });

  test.each([
    { what: 'a fault of the service', error: problem(500, 'internal', {}) },
    { what: 'an error of a proxy', error: problem(520, 'unknown', {}) },
    { what: 'the page of a captive portal', error: problem(403, 'unknown', {}) },
    { what: 'the page of a rate limit before the service', error: problem(429, 'unknown', {}) },
  ])('takes $what for no refusal: the same bytes are sent again, and once', async ({ error }) => {
    const honest = service.api('alice');
    const posted: string[] = [];
    let failures = 2;
    const api: typeof honest = {
      ...honest,
      send: async (id, message) => {
        posted.push(message.ciphertext);
        // The service may have it.
        if (failures === 2) await honest.send(id, message);
        if (failures-- > 0) throw error;
        return honest.send(id, message);
      },
    };
    const alice = await open('alice', { api });
    const group = await alice.createGroup();
    await group.enqueue({ id: 'm', text: 'hello', at: 0 });
    for (let i = 0; i < 2; i++) {
      await expect(group.deliver()).rejects.toBe(error);
      expect(group.outbox).toMatchObject([{ id: 'm', state: { kind: 'waiting' } }]);
    }
    await group.deliver();
    expect(new Set(posted).size).toBe(1);
    await group.receive();
    expect(texts(group)).toEqual(['hello']);
  });

  test('keeps what a removed user wrote, and sends it when the user is back', async () => {
    const [alice, bob] = await gather(['alice', 'bob']);
    if (alice === undefined || bob === undefined) throw new Error('not two');
    const { id } = groupOf(bob);
    await groupOf(bob).enqueue({ id: 'm', text: 'too late', at: 0 });
    await groupOf(alice).remove('bob');
    await groupOf(bob).deliver();
    expect(bob.group(id).isRemoved).toBe(true);
    expect(bob.group(id).outbox).toMatchObject([{ id: 'm', state: { kind: 'waiting' } }]);
    await alice.invite(id, 'bob');
    await bob.sync();
    await bob.group(id).deliver();
    await groupOf(alice).receive();
    expect(texts(groupOf(alice))).toEqual(['too late']);
  });

  test('moves what waits, and own messages that the service has lost, to the successor, and says which', async () => {
    const store = memoryStore();
    const [alice, bob] = [await open('alice', { store }), await open('bob')];
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await bob.sync();
    for (const text of ['lost', 'deleted']) await alice.group(id).send(text);
    await alice.sync();
    const [lost, deleted] = alice.group(id).history;
    if (lost === undefined || deleted === undefined) throw new Error('not two');
    // As after a restore of the service.
    const mark = { lost: { above: lost.seq - 1, at: 1 } };
    await store.write([
      ...[lost, deleted].map(({ seq }) => [`message/${id}/${seq}`, undefined] as const),
      [`message/${id}/lost/1/${lost.seq}`, JSON.stringify({ ...lost, ...mark })],
      [`message/${id}/lost/1/${deleted.seq}`, JSON.stringify({ ...deleted, ...mark, text: '', isDeleted: true })],
    ]);
    const again = await open('alice', { store: memoryStore(store.entries()) });
    await again.group(id).enqueue({ id: 'w', text: 'waits', at: 0 });
    const next = await again.reset(id);
    expect(await again.group(id).handOver(next)).toEqual([lost.id, 'w']);
    expect(texts(again.group(id))).toEqual(['']);
    expect(await again.group(id).handOver(next)).toEqual([]);
    await next.deliver();
    await bob.sync();
    expect(texts(bob.group(next.id))).toEqual(['lost', 'waits']);
    expect(bob.group(next.id).history[0]?.id).toBe(lost.id);
  });

  describe('asked twice to create a group', () => {
    const lost = new TypeError('connection lost');
    type Create = ReturnType<FakeService['api']>['createConversation'];

    /** A device whose first creation meets this, and the second one nothing. */
    async function creator(
      first: (create: Create, body: Parameters<Create>[0]) => Promise<unknown>,
    ): Promise<MlsDevice> {
      const honest = service.api('alice');
      let calls = 0;
      const createConversation: Create = async (body) => {
        if (calls++ > 0) return honest.createConversation(body);
        await first((given) => honest.createConversation(given), body);
        throw lost;
      };
      return open('alice', { api: { ...honest, createConversation } });
    }

    test.each<[string, Parameters<typeof creator>[0]]>([
      ['the request did not arrive', () => Promise.resolve()],
      ['the answer was lost', (create, body) => create(body)],
      ['the answer was lost, and the second request differs', (create, body) => create({ ...body, groupInfo: 'AA==' })],
    ])('goes on with the first state: %s', async (_what, first) => {
      const alice = await creator(first);
      const id = newGroupId();
      await expect(alice.createGroup(undefined, id)).rejects.toBe(lost);
      const group = alice.group(id);
      expect(await alice.createGroup(undefined, id)).toBe(group);
      await group.send('here');
      expect(service.log(id)).toHaveLength(1);
      expect(await alice.createGroup(undefined, id)).toBe(group);
    });

    test('does not take the conversation of somebody else for its own', async () => {
      const id = newGroupId();
      const alice = await creator(() => service.api('mallory').createConversation({ id, groupInfo: 'AA==' }));
      await expect(alice.createGroup(undefined, id)).rejects.toBe(lost);
      await expect(alice.createGroup(undefined, id)).rejects.toMatchObject({ code: 'not-found' });
      const bob = await open('bob');
      await expect(bob.createGroup(undefined, id)).rejects.toMatchObject({ code: 'conversation-exists' });
      expect(bob.groups.size).toBe(0);
    });
  });

  test('continues after a crash: states, unsent keys and messages are in the store', async () => {
    const store = memoryStore();
    const alice = await open('alice');
    const bob = await open('bob', { store });
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await bob.joinGroups();
    await groupOf(bob).send('mine');
    await groupOf(alice).send('one');
    await bob.sync();
    await groupOf(bob).proposeRemove('alice');
    service.loseNextAnswer = true;
    await expect(groupOf(bob).update()).rejects.toThrow('connection lost');
    await groupOf(bob)
      .send('before the crash')
      .catch(() => undefined);

    const again = await open('bob', { store: memoryStore(store.entries()) });
    await groupOf(alice).receive();
    await again.sync();
    expect(texts(groupOf(again))).toEqual(['mine', 'one', 'before the crash']);
    await groupOf(again).send('after it');
    expect(groupOf(again).stuckAt).toEqual([]);
    expect(groupOf(again).isRemoved).toBe(false);
  });

  test('rejoins as the same device when it lost the state of a group', async () => {
    const store = memoryStore();
    const alice = await open('alice');
    const bob = await open('bob', { store });
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await bob.joinGroups();
    await bob.forget(id);
    await bob.joinExternally(id);
    await groupOf(alice).receive();
    expect(groupOf(alice).members).toEqual(['alice', 'bob']);
    await groupOf(alice).send('there you are');
    await bob.sync();
    expect(texts(groupOf(bob))).toEqual(['there you are']);
  });

  test('joins by an external commit although it crashed before the answer, and reads the messages after it', async () => {
    const alice = await open('alice');
    const store = memoryStore();
    const bob = await open('bob', { store });
    const { id } = await alice.createGroup();
    const group = groupOf(alice);
    await alice.invite(id, 'bob');
    await bob.joinGroups();

    // As another device of its user, which has no state yet ..
    const tabletStore = memoryStore();
    const tablet = await open('bob/tablet', { store: tabletStore });
    service.loseNextAnswer = true;
    await expect(tablet.joinExternally(id)).rejects.toThrow('connection lost');
    await group.receive();
    await group.send('one');
    const tabletAgain = await open('bob/tablet', { store: memoryStore(tabletStore.entries()) });
    await tabletAgain.sync();
    expect(texts(groupOf(tabletAgain))).toEqual(['one']);

    // .. and in the place of its own leaf.
    await bob.sync();
    service.loseNextAnswer = true;
    await expect(groupOf(bob).resync()).rejects.toThrow('connection lost');
    await group.receive();
    await group.send('two');
    const bobAgain = await open('bob', { store: memoryStore(store.entries()) });
    await bobAgain.sync();
    expect(texts(groupOf(bobAgain))).toEqual(['one', 'two']);
    expect(groupOf(bobAgain).stuckAt).toEqual([]);
    await tabletAgain.sync();
    expect(authenticators(groupsOf([alice, bobAgain, tabletAgain]))).toBe(1);
  });

  test('deletes what it sent, also after a restart; the others drop the text, and who comes later gets none', async () => {
    const store = memoryStore();
    const [alice, bob] = [await open('alice', { store }), await open('bob')];
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await bob.joinGroups();
    const mine = await groupOf(alice).send('to be deleted');
    const his = await groupOf(bob).send('to stay');
    const early = await groupOf(alice).send('before anybody reads it');
    const hashes = [mine, his, early].map((sent) => service.deleteHash(sent.id));
    expect(new Set(hashes).size).toBe(3);
    await bob.sync();
    await groupOf(alice).receive();

    const again = await open('alice', { store: memoryStore(store.entries()) });
    const group = again.group(id);
    await expect(group.delete(his.seq)).rejects.toMatchObject({ code: 'not-allowed' });
    await group.delete(mine.seq);
    await group.delete(mine.seq);
    expect(texts(group)).toEqual(['', 'to stay', 'before anybody reads it']);
    // Without a stream it asks; its stream tells it, perhaps twice.
    await groupOf(bob).receive();
    expect(texts(groupOf(bob))).toEqual(['', 'to stay', 'before anybody reads it']);
    await group.delete(early.seq);
    await groupOf(bob).forgetText(early.seq);
    await groupOf(bob).forgetText(early.seq);
    expect(texts(groupOf(bob))).toEqual(['', 'to stay', '']);
    expect(groupOf(bob).history[0]).toMatchObject({ seq: mine.seq, sender: 'alice', text: '', isDeleted: true });
    const next = await group.send('it goes on');
    await group.delete(next.seq);
    await group.send('and on');
    await bob.sync();
    expect(texts(groupOf(bob)).at(-1)).toBe('and on');
    expect(groupOf(bob).stuckAt).toEqual([]);
  });

  test('of two joins of one device at the same time, the second waits for the first', async () => {
    const alice = await open('alice');
    const bob = await open('bob');
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await Promise.all([bob.joinGroups(), bob.joinExternally(id), bob.joinGroups()]);
    await groupOf(alice).receive();
    await groupOf(alice).send('to the one that is left');
    await bob.sync();
    expect(texts(groupOf(bob))).toEqual(['to the one that is left']);
    expect(groupOf(bob).stuckAt).toEqual([]);
    expect(groupOf(alice).members).toEqual(['alice', 'bob']);
  });

  test('reports a commit that it cannot process, and rejoins; messages before the commit are not lost', async () => {
    const [alice, bob, carol] = await trio();
    await alice.send('before');
    service.corruptNextCommit = true;
    await alice.update();
    await alice.send('lost on those who could not follow');
    await carol.receive();
    await bob.receive();
    for (const group of [alice, bob, carol]) await group.receive();
    expect(service.reports(alice.id)).toHaveLength(2);
    expect(bob.stuckAt).toHaveLength(1);
    expect(texts(bob)).toEqual(['before']);
    await bob.send('back');
    for (const group of [alice, bob, carol]) await group.receive();
    expect(texts(alice).at(-1)).toBe('back');
    expect(authenticators([alice, bob, carol])).toBe(1);
  });

  test.each(['leave', 'resign'] as const)('can %s although it has to join again first, at another leaf', async (go) => {
    const devices = await gather(['alice', 'bob', 'carol', 'carol/tablet']);
    const [alice, , carol] = groupsOf(devices);
    if (alice === undefined || carol === undefined) throw new Error('not three');
    // The rejoin takes the leaf that gets free here.
    await alice.remove('bob');
    service.corruptNextCommit = true;
    await alice.update();
    await carol[go]();
    expect(carol.stuckAt).toHaveLength(1);
    await alice.receive();
    await alice.send('without them');
    expect(alice.members).toEqual(go === 'leave' ? ['alice'] : ['alice', 'carol']);
    expect(alice.hasDevice(devices[2]?.signatureKey ?? new Uint8Array())).toBe(false);
  });

  test('commits no removal of a user who left, and is a member again when the commit is made anew', async () => {
    const honest = service.api('alice');
    let between: (() => Promise<unknown>) | undefined;
    const alice = await open('alice', {
      api: {
        ...honest,
        members: async (...args) => {
          const answer = await honest.members(...args);
          const task = between;
          between = undefined;
          await task?.();
          return answer;
        },
      },
    });
    const [bob, carol] = [await open('bob'), await open('carol')];
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob', 'carol');
    for (const device of [bob, carol, alice, bob]) await device.sync();
    await groupOf(carol).leave();
    for (const device of [alice, bob]) await groupOf(device).receive();
    // Bob removes carol and adds her again, while the answer is on its way to alice.
    between = () => bob.invite(id, 'carol');
    await groupOf(alice).commitPending();
    expect(groupOf(alice).conflicts).toHaveLength(1);
    await groupOf(bob).receive();
    for (const device of [alice, bob]) expect(groupOf(device).members).toEqual(['alice', 'bob', 'carol']);
  });

  test('does not resign if it turns out to be the last device of its user', async () => {
    const devices = await gather(['alice', 'carol', 'carol/tablet']);
    const [alice, carol] = groupsOf(devices);
    await alice?.removeDevice(devices[2]?.signatureKey ?? '');
    await carol?.resign();
    await alice?.receive();
    expect(alice?.pendingProposals).toBe(0);
    expect(alice?.members).toEqual(['alice', 'carol']);
  });

  test('joins by a Welcome that waits instead of by external commit, and so reads what was sent since', async () => {
    const [alice] = await gather(['alice']);
    const bob = await open('bob');
    const { id } = groupOf(alice);
    await alice?.invite(id, 'bob');
    await groupOf(alice).send('welcome');
    const group = await bob.joinExternally(id);
    await group.receive();
    expect(texts(group)).toEqual(['welcome']);
    expect(await service.api('bob', 'phone').welcomes()).toEqual([]);
  });

  test('reads messages of past epochs that come after it rejoined', async () => {
    const [alice, bob, carol] = await trio();
    await bob.resync();
    // Carol has not seen the commit, so her message is of the epoch before it.
    await carol.send('late');
    for (const group of [alice, bob]) await group.receive();
    expect(texts(bob)).toEqual(['late']);
    expect(bob.history).toEqual(alice.history);
    expect(bob.history[0]?.epoch).toBe(bob.epoch - 1);
  });

  test('reads what came before it rejoined, also if the connection breaks after the commit', async () => {
    const alices = service.api('alice');
    let breaksSoon = false;
    let isBroken = false;
    const api: typeof alices = {
      ...alices,
      commit: async (id, bundle) => {
        const accepted = await alices.commit(id, bundle);
        isBroken = breaksSoon;
        return accepted;
      },
      log: (id, query) => (isBroken ? Promise.reject(new TypeError('connection lost')) : alices.log(id, query)),
    };
    const [alice, bob] = [await open('alice', { api }), await open('bob')];
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    await bob.sync();
    const group = groupOf(alice);
    await group.receive();
    await groupOf(bob).send('before');
    breaksSoon = true;
    await expect(group.resync()).rejects.toThrow('connection lost');
    [breaksSoon, isBroken] = [false, false];
    // Bob has not seen the commit, so his message is of the epoch before it.
    await groupOf(bob).send('late');
    await group.receive();
    expect(texts(group)).toEqual(['before', 'late']);
    expect(group.undecryptable).toEqual([]);
    await bob.sync();
    expect(authenticators([group, groupOf(bob)])).toBe(1);
  });

  test('says why it joined by external commit', async () => {
    const reasons: string[] = [];
    const onRejoin: DeviceOptions['onRejoin'] = ({ id, position }, { kind, ...rest }) => {
      reasons.push(`${kind} ${position} of ${service.log(id).length}${'seq' in rest ? `, entry ${rest.seq}` : ''}`);
    };
    const [alice, bob] = await gather(['alice', 'bob'], { onRejoin });
    expect(reasons).toEqual([]);
    await groupOf(bob).resync();
    await groupOf(alice).receive();
    service.corruptNextCommit = true;
    await groupOf(alice).update();
    await groupOf(bob).receive();
    expect(reasons).toEqual(['requested 3 of 3', 'unprocessable-entry 5 of 5, entry 4']);
    // A device whose store was lost has no secrets for the Welcome that waits for it.
    const carol = await open('carol');
    await alice?.sync();
    await alice?.invite(groupOf(alice).id, carol.user);
    const again = await open('carol', { onRejoin });
    await again.joinGroups();
    expect(reasons.slice(2).map((reason) => reason.split(' ')[0])).toEqual(['key-package-unknown']);
  });

  test('replaces a stuck conversation by another one, which all join by Welcome', async () => {
    const devices = await gather(['alice', 'bob', 'carol', 'carol/tablet']);
    const old = groupOf(devices[0]);
    const successor = await devices[1]?.reset(old.id);
    for (const device of devices) await device.sync();
    const groups = devices.map((device) => device.group(successor?.id ?? ''));
    for (const group of groups) await group.receive();
    expect(groups[0]?.members).toHaveLength(4);
    expect(authenticators(groups)).toBe(1);
    await expect(old.send('into the void')).rejects.toThrow('superseded');
    expect(old.successor).toBe(successor?.id);
  });

  test('acknowledges the entries that it has processed', async () => {
    const [alice, bob] = await gather(['alice', 'bob']);
    await groupOf(alice).send('hello');
    await bob?.sync();
    expect(service.acks.get('bob/phone')).toEqual({ [groupOf(bob).id]: groupOf(bob).position });
    expect(groupOf(bob).position).toBe(service.log(groupOf(bob).id).length);
  });

  test('invites many into a tree with gaps, as many at a time as can join', async () => {
    const names = ['alice', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const devices = await gather(names);
    const group = groupOf(devices[0]);
    await group.remove('b', 'e', 'g');
    for (const device of devices) await groupOf(device).receive();
    for (const i of [0, 2, 3, 5, 7]) await groupOf(devices[i]).update();
    for (const device of devices) await groupOf(device).receive();
    const added = ['x', 'y', 'z'];
    const joiners = await Promise.all(added.map((name) => open(name)));
    const inviting = devices[0]?.invite(group.id, ...added);
    const joined = async (): Promise<void> => {
      const areAllIn = async (): Promise<boolean> => {
        for (const joiner of joiners) await joiner.sync();
        return joiners.every(({ groups }) => groups.size > 0);
      };
      await waitUntil(areAllIn, { what: 'all have joined' });
    };
    await Promise.all([inviting, joined()]);
    const members = [0, 2, 3, 5, 7].flatMap((i) => devices[i] ?? []);
    for (const device of [...members, ...joiners]) await device.sync();
    const groups = groupsOf([...members, ...joiners]);
    expect(group.members).toHaveLength(8);
    expect(authenticators(groups)).toBe(1);
  });
});
