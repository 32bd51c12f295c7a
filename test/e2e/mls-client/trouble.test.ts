import { describe, expect, test } from 'vitest';
import { ParleyClient } from '../../../client/api/parley-client.ts';
import { clientConfig } from '../../../client/device/authentication.ts';
import type { MlsGroup } from '../../../client/group/group.ts';
import { GroupStore } from '../../../client/group/group-store.ts';
import { loadSuite } from '../../../client/mls.ts';
import { memoryStore } from '../../../client/device/store.ts';
import { newId } from '../../../client/bytes.ts';
import type { CommitAccepted, CommitBundle } from '../../../client/api/types.ts';
import { craftUpdate } from '../../../tools/harness/crafted-mls.ts';
import type { TestDevice } from '../../harness/mls-devices.ts';
import { agree, deviceOpener, follow, textsOf } from '../../harness/mls-devices.ts';
import { useService } from '../../harness/service.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const service = useService({ workers: 1 });
const open = deviceOpener(service);
let runs = 0;
const named = (name: string): string => `${name}-${runs}`;

/** A limit that the service owes its users, not a wait. */
const STILL_SENDS_MS = 5_000;

async function trio(): Promise<{ id: string; devices: TestDevice[]; groups: [MlsGroup, MlsGroup, MlsGroup] }> {
  runs++;
  const devices = await Promise.all(['alice', 'bob', 'carol'].map((name, i) => open(named(name), { via: i % 2 })));
  const [alice, bob, carol] = devices;
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error('three');
  const { id } = await alice.device.createGroup();
  await alice.device.invite(id, named('bob'), named('carol'));
  await Promise.all([bob, carol].map(({ device }) => device.joinGroups()));
  for (const { device } of devices) await device.sync();
  return { id, devices, groups: [alice.device.group(id), bob.device.group(id), carol.device.group(id)] };
}

/** Breaks the connection before the answer to the next accepted commit. */
class LossyClient extends ParleyClient {
  isLosing = false;

  override async commit(id: string, bundle: CommitBundle): Promise<CommitAccepted> {
    const accepted = await super.commit(id, bundle);
    if (this.isLosing) {
      this.isLosing = false;
      throw new TypeError('connection lost');
    }
    return accepted;
  }
}

describe('conflicting proposals', () => {
  test('two who propose to remove the same device do not keep the group from sending within 5 s', async () => {
    const { groups, devices } = await trio();
    const [alice, bob, carol] = groups;
    await Promise.all([alice.proposeRemove(named('carol')), bob.proposeRemove(named('carol'))]);
    for (const { device } of devices) follow(device);
    await Promise.all([alice.send('from alice'), bob.send('from bob')]);
    await waitUntil(() => alice.history.length === 2 && bob.history.length === 2 && carol.isRemoved, {
      what: 'both have both messages, and carol is out',
      timeoutMs: STILL_SENDS_MS,
    });
    expect(bob.history).toEqual(alice.history);
    expect(agree([alice, bob])).toBe(true);
  });

  test('nor do an Update and a Remove of one device', async () => {
    const { id, groups, devices } = await trio();
    const [alice, bob] = groups;
    const carol = devices[2];
    const suite = await loadSuite();
    const config = clientConfig({ verify: () => Promise.resolve(true) });
    const record = carol && (await new GroupStore(carol.store, id).load(config));
    if (record === undefined) throw new Error('no state');
    const ciphertext = await craftUpdate(record.state, suite);
    await service().clientOf(named('carol'), { device: 'phone' }).send(id, { id: newId(), ciphertext });
    await bob.proposeRemove(named('carol'));
    for (const { device } of devices) follow(device);
    await Promise.all([alice.send('from alice'), bob.send('from bob')]);
    await waitUntil(() => alice.history.length === 2 && bob.history.length === 2, {
      what: 'both have both messages',
      timeoutMs: STILL_SENDS_MS,
    });
    await bob.remove(named('carol'));
    await alice.receive();
    expect(alice.members).toEqual([named('alice'), named('bob')]);
    expect(agree([alice, bob])).toBe(true);
  });

  test('the first of many who see a leaving member commits it, without anybody sending', async () => {
    const { groups, devices } = await trio();
    const [alice, bob, carol] = groups;
    for (const { device } of devices) follow(device);
    await carol.leave();
    await waitUntil(() => alice.members.length === 2 && bob.members.length === 2, {
      what: 'carol is out',
      timeoutMs: STILL_SENDS_MS,
    });
    await alice.receive();
    await bob.receive();
    expect(agree([alice, bob])).toBe(true);
  });
});

describe('a device in trouble', () => {
  test('recognises its accepted commit whose answer was lost', async () => {
    const { id, groups } = await trio();
    const lossy = new LossyClient(service().clientOf(named('bob'), { device: 'tablet' }).http);
    const { device } = await open(named('bob') + '/tablet', { api: lossy });
    const tablet = await device.joinExternally(id);
    const { epoch } = tablet;
    lossy.isLosing = true;
    await expect(tablet.update()).rejects.toThrow('connection lost');
    await tablet.receive();
    expect(tablet.epoch).toBe(epoch + 1);
    await tablet.send('no harm done');
    for (const group of groups) await group.receive();
    expect(agree([...groups, tablet])).toBe(true);
    expect(tablet.stuckAt).toEqual([]);
  });

  test('goes on after a crash from what it acknowledged, with nothing missing and nothing twice', async () => {
    const { id, groups, devices } = await trio();
    const [alice, bob] = groups;
    const [, crashing] = devices;
    if (crashing === undefined) throw new Error('no bob');
    const stop = follow(crashing.device);
    await alice.send('one');
    await waitUntil(() => bob.history.length === 1, { what: 'bob has the first message' });
    const left: TestDevice = { ...crashing, store: memoryStore(crashing.store.entries()) };
    await alice.send('two');
    await waitUntil(() => bob.history.length === 2, { what: 'bob has the second message' });
    await stop();
    await alice.send('three');
    await alice.update();

    // What it read of the second message is lost with it; that it acknowledged it costs it nothing.
    const again = await open(named('bob'), { left, via: 1 });
    const seen: string[] = [];
    again.device.onMessage((_group, { text }) => void seen.push(text));
    follow(again.device);
    await alice.send('four');
    await waitUntil(() => again.device.group(id).history.length === 4, { what: 'bob has caught up' });
    expect(seen).toEqual(['two', 'three', 'four']);
    expect(again.device.group(id).history).toEqual(await historyOf(alice));
    expect(agree([alice, again.device.group(id)])).toBe(true);
  });

  test('reports a commit that it cannot follow, and rejoins (the others never notice)', async () => {
    const { id, groups, devices } = await trio();
    const [alice, bob, carol] = groups;
    // The newest commit of a restored backup is one that the device never made a state for.
    const left = devices[1] && { ...devices[1], store: memoryStore(devices[1].store.entries()) };
    await bob.update();
    const restored = await open(named('bob'), left === undefined ? {} : { left });
    const again = restored.device.group(id);
    await again.receive();
    expect(again.stuckAt).toHaveLength(1);
    // The report itself was settled by the commit with which it came back.
    const { rows } = await service().pool.query("select actor from audit where action = 'report'");
    expect(rows).toContainEqual({ actor: named('bob') });
    await again.send('restored');
    for (const group of [alice, carol]) await group.receive();
    expect(agree([alice, again, carol])).toBe(true);
    expect(textsOf(carol)).toEqual(['restored']);
  });

  test('has a conversation that nobody can follow go on as another one, which all join', async () => {
    const { id, devices } = await trio();
    for (const { device } of devices) follow(device);
    const [alice] = devices;
    const successor = await alice?.device.reset(id);
    const name = successor?.id ?? '';
    await waitUntil(() => devices.every(({ device }) => device.groups.has(name)), { what: 'all have joined' });
    await devices[1]?.device.group(name).send('here we are');
    const groups = devices.map(({ device }) => device.group(name));
    await waitUntil(() => groups.every(({ history }) => history.length === 1), { what: 'all have the message' });
    await expect(devices[1]?.device.group(id).send('into the void')).rejects.toMatchObject({ code: 'superseded' });
  });
});

async function historyOf(group: MlsGroup): Promise<MlsGroup['history']> {
  await group.receive();
  return group.history;
}
