import { describe, expect, test } from 'vitest';
import type { CommitAccepted, CommitBundle, MlsGroup } from '../../../client/index.ts';
import { memoryStore, newId, ParleyClient } from '../../../client/index.ts';
import { clientStateOf, GroupStore, loadSuite, trustingMls } from '../../../client/testing.ts';
import { craftUnreadable, craftUpdate } from '../../../tools/harness/crafted-mls.ts';
import type { TestDevice } from '../../harness/mls-devices.ts';
import { agree, deviceOpener, follow, textsOf } from '../../harness/mls-devices.ts';
import { useService } from '../../harness/service.ts';
import { print } from '../../harness/print.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const service = useService({ workers: 1 });
const open = deviceOpener(service);
let runs = 0;
const named = (name: string): string => `${name}-${runs}`;

/** Says how long something took, beside what users may expect. A machine that is busy with other tests proves no limit. */
function stopwatch(what: string, expectedMs: number): () => void {
  const began = performance.now();
  return () => print(`${what}: ${Math.round(performance.now() - began)} ms, expected are ${expectedMs} at most`);
}

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
  test('two proposals to remove the same device do not keep the group from sending', async () => {
    const { groups, devices } = await trio();
    const [alice, bob, carol] = groups;
    await Promise.all([alice.proposeRemove(named('carol')), bob.proposeRemove(named('carol'))]);
    for (const { device } of devices) follow(device);
    const took = stopwatch('two members send after conflicting proposals', 5_000);
    await Promise.all([alice.send('from alice'), bob.send('from bob')]);
    await waitUntil(() => alice.history.length === 2 && bob.history.length === 2 && carol.isRemoved, {
      what: 'both have both messages, and carol is out',
    });
    took();
    expect(bob.history).toEqual(alice.history);
    expect(agree([alice, bob])).toBe(true);
  });

  test('an Update and a Remove of one device do not keep the group from sending', async () => {
    const { id, groups, devices } = await trio();
    const [alice, bob] = groups;
    const carol = devices[2];
    const suite = await loadSuite();
    const record = carol && (await new GroupStore(carol.store, id, await trustingMls()).load());
    if (record === undefined) throw new Error('no state');
    const ciphertext = await craftUpdate(clientStateOf(record.state), suite);
    await service().clientOf(named('carol'), { device: 'phone' }).send(id, { id: newId(), ciphertext });
    await bob.proposeRemove(named('carol'));
    for (const { device } of devices) follow(device);
    const took = stopwatch('two members send after conflicting proposals', 5_000);
    await Promise.all([alice.send('from alice'), bob.send('from bob')]);
    await waitUntil(() => alice.history.length === 2 && bob.history.length === 2, {
      what: 'both have both messages',
    });
    took();
    await bob.remove(named('carol'));
    await alice.receive();
    expect(alice.members).toEqual([named('alice'), named('bob')]);
    expect(agree([alice, bob])).toBe(true);
  });

  test('a device that is behind does not propose to remove who has the leaf of a removed user now', async () => {
    const { id, groups, devices } = await trio();
    const [alice, bob] = groups;
    const dave = await open(named('dave'));
    await bob.remove(named('carol'));
    await devices[1]?.device.invite(id, named('dave'));
    await dave.device.joinGroups();
    await alice.proposeRemove(named('carol'));
    expect(alice.pendingProposals).toBe(0);
    await bob.receive();
    await bob.commitPending();
    expect(bob.members).toEqual(['alice', 'bob', 'dave'].map(named));
  });

  test('one of the devices that see a pending removal commits it, although nobody sends', async () => {
    const { groups, devices } = await trio();
    const [alice, bob, carol] = groups;
    for (const { device } of devices) follow(device);
    await carol.leave();
    await waitUntil(() => alice.members.length === 2 && bob.members.length === 2, {
      what: 'carol is out',
    });
    await alice.receive();
    await bob.receive();
    expect(agree([alice, bob])).toBe(true);
  });
});

describe('a device in trouble', () => {
  test('recognises its accepted commit after the answer was lost', async () => {
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

  test('continues after a crash from its stored state, with no message missing or doubled', async () => {
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

    // The crash loses the text of the second message. The device gets it again, although it had acknowledged it.
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

  test('reports a commit that it cannot follow, and rejoins without disturbing the others', async () => {
    const { id, groups, devices } = await trio();
    const [alice, bob, carol] = groups;
    // After restoring a backup, the device has no state for the newest commit.
    const left = devices[1] && { ...devices[1], store: memoryStore(devices[1].store.entries()) };
    await bob.update();
    const restored = await open(named('bob'), left === undefined ? {} : { left });
    const again = restored.device.group(id);
    await again.receive();
    expect(again.stuckAt).toHaveLength(1);
    // The commit of the rejoin cleared the report itself.
    const { rows } = await service().pool.query("select actor from audit where action = 'report'");
    expect(rows).toContainEqual({ actor: named('bob') });
    await again.send('restored');
    for (const group of [alice, carol]) await group.receive();
    expect(agree([alice, again, carol])).toBe(true);
    expect(textsOf(carol)).toEqual(['restored']);
  });

  test('a member ends an epoch by a private commit that nobody can read: it is named, and the others go on', async () => {
    const { id, devices } = await trio();
    const took = stopwatch('from a commit that nobody can read to a message in the successor', 10_000);
    const [alice, bob, carol] = devices;
    const suite = await loadSuite();
    const record = carol && (await new GroupStore(carol.store, id, await trustingMls()).load());
    if (record === undefined || alice === undefined || bob === undefined) throw new Error('no state');
    const { commit, groupInfo } = await craftUnreadable(clientStateOf(record.state), suite);
    const bad = await service().clientOf(named('carol'), { device: 'phone' }).commit(id, { commit, groupInfo });

    // Everybody sees whose commit it is, though nobody can read it.
    const page = await service()
      .clientOf(named('bob'), { device: 'phone' })
      .log(id, { after: bad.seq - 1 });
    expect(page.entries).toMatchObject([{ seq: bad.seq, kind: 'commit', sender: named('carol') }]);
    const report = { seq: bad.seq, epoch: bad.epoch - 1, reason: 'the frame cannot be decrypted' };
    const tell = (user: string): Promise<unknown> =>
      service().clientOf(named(user), { device: 'phone' }).report(id, report);
    expect(await tell('alice')).toMatchObject({ reports: 1, needed: 2, open: false });
    expect(await tell('bob')).toMatchObject({ reports: 2, needed: 2, open: true });
    const { rows } = await service().pool.query(
      `select actor, details ->> 'sender' as sender from audit where conversation = $1 and action = 'report' order by key`,
      [id],
    );
    expect(rows).toEqual(['alice', 'bob'].map((user) => ({ actor: named(user), sender: named('carol') })));

    // Bob is a plain member.
    const successor = await bob.device.reset(id);
    for (const { device } of devices) follow(device);
    await waitUntil(() => devices.every(({ device }) => device.groups.has(successor.id)), {
      what: 'all have joined the successor',
    });
    await alice.device.group(successor.id).send('here we are');
    await waitUntil(() => devices.every(({ device }) => device.group(successor.id).history.length === 1), {
      what: 'all have the message',
    });
    took();
  });

  test('resets a conversation that nobody can follow, and all join its successor', async () => {
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
