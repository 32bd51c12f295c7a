import type { CiphersuiteImpl, ClientState } from 'ts-mls';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  craftAdd,
  craftExternalRemoval,
  craftJoinRequest,
  craftProposal,
  craftRelabelling,
  craftUpdate,
} from '../../../tools/harness/crafted-mls.ts';
import { Deliveries } from '../../../client/chat/deliveries.ts';
import { UntrustedDeviceError } from '../../../client/device/claims.ts';
import type { DeviceOptions } from '../../../client/device/device.ts';
import { MlsDevice } from '../../../client/device/device.ts';
import { FakeService } from '../../harness/fake-service.ts';
import type { MlsGroup } from '../../../client/group/group.ts';
import { ForeignSuccessorError } from '../../../client/group/group.ts';
import { OldGroupInfoError } from '../../../client/group/joining.ts';
import type { JoinRequest } from '../../../client/group/proposals.ts';
import { GroupStore } from '../../../client/storage/group-store.ts';
import type { DeviceIdentity } from '../../../client/device/identity.ts';
import { loadIdentity } from '../../../client/device/identity.ts';
import type { MlsLibrary } from '../../../client/mls/mls-library.ts';
import {
  clientStateOf,
  decodeMessage,
  encodeMessage,
  loadSuite,
  makeKeyPackage,
  trustingMls,
} from '../../../client/testing.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { memoryStore } from '../../../client/storage/device-store.ts';

let service: FakeService;
let suite: CiphersuiteImpl;
let mls: MlsLibrary;
const stores = new Map<string, ReturnType<typeof memoryStore>>();
/** Requests to join that alice's device was told of. */
const asked: JoinRequest[] = [];

beforeEach(async () => {
  service = new FakeService();
  suite = await loadSuite();
  mls = await trustingMls();
  stores.clear();
  asked.length = 0;
});

async function open(user: string, api = service.api(user)): Promise<MlsDevice> {
  const store = memoryStore();
  stores.set(user, store);
  const onJoinRequest: DeviceOptions['onJoinRequest'] = (_group, request) => {
    if (user === 'alice') asked.push(request);
  };
  return MlsDevice.open({
    mls: tsMls,
    api,
    user,
    device: 'phone',
    keyPackages: 3,
    store,
    onJoinRequest,
  });
}

/** Claims a key package of a user's device. */
async function claim(claimer: string, user: string, conversation: string): Promise<string> {
  const { keyPackages } = await service.api(claimer).claimKeyPackages(user, { conversation });
  const [first] = keyPackages;
  if (first === undefined) throw new Error('no key package');
  return first.keyPackage;
}

async function trio(): Promise<{ id: string; groups: [MlsGroup, MlsGroup, MlsGroup] }> {
  const [alice, bob, mallory] = [await open('alice'), await open('bob'), await open('mallory')];
  const { id } = await alice.createGroup();
  await alice.invite(id, 'bob', 'mallory');
  for (const device of [bob, mallory]) await device.joinGroups();
  for (const device of [alice, bob, mallory]) await device.sync();
  return { id, groups: [alice.group(id), bob.group(id), mallory.group(id)] };
}

/** The state of a group as a dishonest app would take it from its device's store. */
async function stateOf(user: string, id: string): Promise<ClientState> {
  const store = stores.get(user);
  const record = store && (await new GroupStore(store, id, mls).load());
  if (record === undefined) throw new Error('no state');
  return clientStateOf(record.state);
}

const identityOf = (user: string): Promise<DeviceIdentity> =>
  loadIdentity(stores.get(user) ?? memoryStore(), { user, device: 'phone' }, mls);

const signatureKeyOf = async (user: string): Promise<Uint8Array> => (await identityOf(user)).signatureKeyPair.publicKey;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a device among members and a service that are not honest', () => {
  test('commits the first of an Update and a Remove for one leaf, and still sends', async () => {
    const { id, groups } = await trio();
    const [alice, bob, mallory] = groups;
    service.plant(id, 'proposal', await craftUpdate(await stateOf('mallory', id), suite), 'mallory');
    await bob.proposeRemove('mallory');
    await alice.receive();
    expect([alice.pendingProposals, bob.pendingProposals]).toEqual([2, 2]);
    await alice.send('still here');
    await bob.receive();
    await mallory.receive(); // the library has no keys for an Update that it did not make: it rejoins
    expect(bob.history.map(({ text }) => text)).toEqual(['still here']);
    await bob.remove('mallory');
    expect(bob.members).toEqual(['alice', 'bob']);
  });

  test('does not join again by the GroupInfo of an epoch before a removal', async () => {
    const { id, groups } = await trio();
    const [alice, bob] = groups;
    const { groupInfo } = await service.api('alice').groupInfo(id);
    await alice.remove('mallory');
    await bob.receive();
    const entries = service.log(id).length;
    service.plantGroupInfo(id, groupInfo);
    await expect(bob.resync()).rejects.toThrow(OldGroupInfoError);
    expect(service.log(id)).toHaveLength(entries);
    expect(bob.members).toEqual(['alice', 'bob']);
    // After a restore the GroupInfo is as old as the log, and the service says so.
    service.isRestarted = true;
    await expect(bob.resync()).rejects.toMatchObject({ code: 'log-restarted' });
  });

  test('removes a member whose Update is pending', async () => {
    const { id, groups } = await trio();
    const [alice, bob] = groups;
    service.plant(id, 'proposal', await craftUpdate(await stateOf('mallory', id), suite), 'mallory');
    await alice.receive();
    await alice.remove('mallory');
    await bob.receive();
    expect(bob.members).toEqual(['alice', 'bob']);
    expect(bob.epochAuthenticator).toBe(alice.epochAuthenticator);
  });

  test('goes on without an Add whose key package nobody claimed', async () => {
    const { id, groups } = await trio();
    const store = memoryStore();
    const eve = await loadIdentity(store, { user: 'eve', device: 'phone' }, mls);
    const { publicPackage: keyPackage } = await makeKeyPackage(eve, suite);
    const state = await stateOf('mallory', id);
    service.plant(
      id,
      'proposal',
      await craftProposal(state, { proposalType: 'add', add: { keyPackage } }, suite),
      'mallory',
    );
    await groups[0].receive();
    await groups[0].send('no eve here');
    expect(groups[0].members).toEqual(['alice', 'bob', 'mallory']);
  });

  test('commits the first Add of a device that other members proposed', async () => {
    const { id, groups } = await trio();
    const [alice, bob] = groups;
    const dave = await open('dave');
    for (const proposer of ['bob', 'mallory']) {
      const add = craftAdd(await claim(proposer, 'dave', id));
      service.plant(id, 'proposal', await craftProposal(await stateOf(proposer, id), add, suite), proposer);
    }
    await bob.receive();
    await alice.receive();
    await alice.send('welcome');
    expect(alice.members).toEqual(['alice', 'bob', 'mallory', 'dave']);
    await dave.sync();
    await dave.group(id).send('thanks');
    await bob.receive();
    expect(bob.history.map(({ text }) => text)).toEqual(['welcome', 'thanks']);
    expect(service.reports(id)).toHaveLength(0);
  });

  test('lets an outsider join when the app admits it, and not before', async () => {
    const { id, groups } = await trio();
    const [alice, bob] = groups;
    const dave = await open('dave');
    const { signatureKeyPair } = await identityOf('dave');
    const request = async (): Promise<void> => {
      const [{ groupInfo }, keyPackage] = [await service.api('alice').groupInfo(id), await claim('alice', 'dave', id)];
      const asking = await craftJoinRequest(groupInfo, keyPackage, signatureKeyPair.signKey, suite);
      service.plant(id, 'proposal', asking, 'dave');
    };
    await request();
    await alice.receive();
    await alice.send('nobody new here');
    expect(alice.members).toEqual(['alice', 'bob', 'mallory']);
    expect(asked.map(({ user }) => user)).toEqual(['dave']);
    expect(alice.joinRequests).toHaveLength(1);
    // A commit of another member ends the epoch, and the request with it.
    await bob.update();
    await alice.receive();
    expect(alice.joinRequests).toEqual([]);
    expect(await alice.admit(asked[0] ?? { ref: '' })).toBe(false);
    await request();
    await alice.receive();
    const [waiting] = alice.joinRequests;
    expect(waiting?.signatureKey).toEqual(dave.signatureKey);
    expect(await alice.admit(waiting ?? { ref: '' })).toBe(true);
    await dave.sync();
    await bob.receive();
    expect(bob.members).toEqual(['alice', 'bob', 'mallory', 'dave']);
    expect(bob.epochAuthenticator).toBe(dave.group(id).epochAuthenticator);
  });

  test('continues after a proposal that no device can process', async () => {
    const { id, groups } = await trio();
    const proposal = await craftUpdate(await stateOf('mallory', id), suite);
    const bytes = Buffer.from(proposal, 'base64');
    bytes.writeUInt32BE(0, bytes.length - 4);
    service.plant(id, 'proposal', bytes.toString('base64'), 'mallory');
    await groups[0].send('hello');
    await groups[1].receive();
    expect(groups[1].history).toHaveLength(1);
  });

  test('processes no commit that gives a leaf to another user, and does not rejoin after it', async () => {
    const { id, groups } = await trio();
    const [, bob] = groups;
    const state = await stateOf('mallory', id);
    const asAlice = { credentialType: 'basic' as const, identity: bytesOf('alice') };
    await service.api('mallory').commit(id, await craftRelabelling(state, asAlice, suite));
    const { epoch } = bob;
    await expect(bob.receive()).rejects.toThrow('Could not validate credential');
    expect(bob.epoch).toBe(epoch);
    expect(service.reports(id)).toHaveLength(1);
    await expect(bob.receive()).rejects.toThrow();
  });

  test('processes no external commit that removes the leaf of another user', async () => {
    const { id, groups } = await trio();
    const [, bob] = groups;
    const { groupInfo } = await service.api('mallory').groupInfo(id);
    const message = decodeMessage(groupInfo);
    if (message.wireformat !== 'mls_group_info') throw new Error('not a GroupInfo');
    const joiner = await loadIdentity(memoryStore(), { user: 'mallory', device: 'other' }, mls);
    const bundle = await craftExternalRemoval(message.groupInfo, joiner, await signatureKeyOf('alice'), suite);
    await service.api('mallory').commit(id, bundle);
    await expect(bob.receive()).rejects.toThrow('is not the joiner');
    expect(bob.members).toEqual(['alice', 'bob', 'mallory']);
    expect(service.reports(id)).toHaveLength(1);
  });

  test('adds nobody whom the service gives beside those who were asked for', async () => {
    for (const user of ['bob', 'mallory', 'carol']) await open(user);
    const honest = service.api('alice');
    const claimGroupKeyPackages: typeof honest.claimGroupKeyPackages = (request) =>
      honest.claimGroupKeyPackages({ ...request, users: [...request.users, 'mallory'] });
    const alice = await open('alice', { ...honest, claimGroupKeyPackages });
    const group = await alice.createGroup();
    await expect(alice.invite(group.id, 'bob', 'carol')).rejects.toThrow(UntrustedDeviceError);
    expect(group.members).toEqual(['alice']);
    await alice.invite(group.id, 'bob', 'carol', 'mallory');
    expect(group.members).toHaveLength(4);
  });

  test('believes no leaf that names the key of somebody else: its user can still be added', async () => {
    const [alice, bob] = [await open('alice'), await open('bob')];
    await open('mallory');
    // Mallory's name and Bob's key, for which she cannot sign.
    const key = Buffer.from(bob.signatureKey).toString('base64');
    const forged = [...(stores.get('mallory')?.entries() ?? [])].map(([name, value]): [string, string] => {
      if (name !== 'identity') return [name, value];
      return [name, JSON.stringify({ ...(JSON.parse(value) as object), publicKey: key })];
    });
    const mallory = await MlsDevice.open({
      ...{ mls: tsMls, api: service.api('mallory'), user: 'mallory', device: 'phone', store: memoryStore(forged) },
    });
    const { id } = await mallory.createGroup();
    await mallory.invite(id, 'alice');
    await expect(alice.joinGroups()).rejects.toThrow('could not be joined');
    const group = await alice.createGroup();
    await alice.invite(group.id, 'bob');
    expect(group.members).toEqual(['alice', 'bob']);
  });

  test('takes no claimed key package without the signature of its key', async () => {
    const [bob] = [await open('bob'), await open('mallory')];
    const honest = service.api('alice');
    const { publicPackage } = await makeKeyPackage(await identityOf('mallory'), suite);
    const leafNode = { ...publicPackage.leafNode, signaturePublicKey: bob.signatureKey };
    const keyPackage = encodeMessage({ wireformat: 'mls_key_package', keyPackage: { ...publicPackage, leafNode } });
    let isForged = true;
    const api: typeof honest = {
      ...honest,
      claimKeyPackages: async (user, request) => {
        const { keyPackages, exhausted } = await honest.claimKeyPackages(user, request);
        return { keyPackages: keyPackages.map((one) => (isForged ? { ...one, keyPackage } : one)), exhausted };
      },
    };
    const alice = await open('alice', api);
    const group = await alice.createGroup();
    await expect(alice.invite(group.id, 'mallory')).rejects.toThrow('signature of the KeyPackage');
    isForged = false;
    await alice.invite(group.id, 'bob');
    expect(group.members).toEqual(['alice', 'bob']);
  });

  test('gives what waits to no successor with members whom the old group does not have', async () => {
    const [alice, bob, mallory] = [await open('alice'), await open('bob'), await open('mallory')];
    const old = await alice.createGroup();
    await alice.invite(old.id, 'bob');
    for (const device of [bob, alice]) await device.sync();
    const trap = await mallory.createGroup();
    await mallory.invite(trap.id, 'alice');
    await alice.sync();
    await old.enqueue({ id: 'for-bob', text: 'for bob', at: 0 });
    service.supersede(old.id, trap.id);
    const troubles: unknown[] = [];
    const deliveries = new Deliveries({
      successorOf: ({ successor = '' }) => alice.groups.get(successor),
      isOnline: () => true,
      onError: (error) => void troubles.push(error),
      onHandedOver: () => undefined,
      onEnd: () => undefined,
      signal: () => new AbortController().signal,
    });
    old.successor = trap.id;
    for (let connection = 1; connection <= 2; connection++) {
      deliveries.begin(old);
      await deliveries.end();
    }
    expect(troubles).toEqual([expect.any(ForeignSuccessorError)]);
    expect(old.outbox).toMatchObject([{ id: 'for-bob', state: { kind: 'waiting' } }]);
    expect(alice.group(trap.id).outbox).toEqual([]);
    // Without the stranger the group is as good as any.
    await alice.group(trap.id).remove('mallory');
    deliveries.begin(old);
    await deliveries.end();
    expect(old.outbox).toEqual([]);
    expect(troubles).toHaveLength(1);
  });

  test('invites nobody to a successor whom only the service takes for a member', async () => {
    for (const user of ['bob', 'mallory']) await open(user);
    const honest = service.api('alice');
    const members: typeof honest.members = async (id, query) => {
      const page = await honest.members(id, query);
      return { ...page, members: [...page.members, ...page.members.map((one) => ({ ...one, user: 'mallory' }))] };
    };
    const alice = await open('alice', { ...honest, members });
    const { id } = await alice.createGroup();
    await alice.invite(id, 'bob');
    const successor = await alice.reset(id);
    expect(successor.members).toEqual(['alice', 'bob']);
  });

  test('does not join a group in which a known key belongs to another user', async () => {
    const { groups } = await trio();
    await groups[0].receive();
    const thief = await MlsDevice.open({
      mls: tsMls,
      api: service.api('bob', 'other'),
      user: 'bob',
      device: 'other',
      store: memoryStore(
        [...(stores.get('mallory')?.entries() ?? [])].map(([key, value]) => [
          key,
          key === 'identity' ? value.replace('"mallory"', '"bob"').replace('"phone"', '"other"') : value,
        ]),
      ),
    });
    const { id } = await thief.createGroup(); // mallory's key under bob's name
    await thief.invite(id, 'alice').catch(() => undefined);
    const alice = await MlsDevice.open({
      mls: tsMls,
      api: service.api('alice'),
      user: 'alice',
      device: 'phone',
      store: stores.get('alice') ?? memoryStore(),
    });
    await expect(alice.joinGroups()).rejects.toThrow('could not be joined');
    expect(alice.groups.has(id)).toBe(false);
  });
});
