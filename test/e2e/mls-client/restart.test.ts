import { describe, expect, test } from 'vitest';
import { useDatabase } from '../../harness/database.ts';
import { textsOf } from '../../harness/mls-devices.ts';
import { remember, restartGroups, settled } from '../../harness/restarts.ts';
import { useService } from '../../harness/service.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const database = useDatabase();
const service = useService({ apis: 1, workers: 1 }, database);
const gather = restartGroups(service);

describe('a group on a service that goes back', () => {
  test('removes again who was removed before anybody sends, and what was lost comes again once', async () => {
    const { members, copyOf } = await gather(['alice', 'bob', 'carol']);
    const [alice, bob, carol] = members;
    if (alice === undefined || bob === undefined || carol === undefined) throw new Error('three');
    await alice.group().send('kept');
    await settled(members, ['kept']);
    // What carol's device was, for somebody who does not play by the rules.
    await carol.goOffline();
    const old = await copyOf(carol);
    const goBack = await remember(database());
    await bob.group().remove(carol.device.user);
    await alice.group().send('lost');
    await settled([alice, bob], ['kept', 'lost']);

    await goBack();
    await alice.group().send('secret');
    await settled([alice, bob], ['kept', 'lost', 'secret']);
    expect(alice.group().members).toEqual([alice.device.user, bob.device.user]);
    for (const { events } of [alice, bob]) {
      expect(events.filter(({ type }) => type !== 'message-found')).toEqual([
        { type: 'log-restarted', agreed: expect.any(Number) as number, messages: 1, isDead: true },
      ]);
    }

    const bobs = textsOf(bob.group());
    expect(bobs).toEqual(['kept', 'lost', 'secret']);
    await old.device.sync().catch(() => undefined);
    await waitUntil(() => old.group().isRemoved, { what: 'carol is out again' });
    expect(textsOf(old.group())).toEqual(['kept']);
  });

  test('is noticed while a message waits for its turn: the message waits until the device has a state again', async () => {
    const { members } = await gather(['alice', 'bob']);
    const [alice, bob] = members;
    if (alice === undefined || bob === undefined) throw new Error('two');
    const goBack = await remember(database());
    await alice.group().update();
    await settled([alice, bob], []);
    await alice.goOffline();

    await goBack();
    const noticing = alice.group().compare();
    const sending = alice.group().send('after');
    await Promise.all([noticing, sending]);
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
    alice.goOnline();
    await settled([alice, bob], ['after']);
  });

  test('is noticed by a device that has not read its own commit yet', async () => {
    const { members } = await gather(['alice', 'bob']);
    const [alice, bob] = members;
    if (alice === undefined || bob === undefined) throw new Error('two');
    await alice.goOffline();
    const goBack = await remember(database());
    await alice.group().update();

    await goBack();
    await alice.group().compare();
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
    await alice.group().send('after');
    alice.goOnline();
    await settled([alice, bob], ['after']);
  });

  test('is noticed by a device that has not read its own commit yet, from the commit that is in its place now', async () => {
    const { members } = await gather(['alice', 'bob']);
    const [alice, bob] = members;
    if (alice === undefined || bob === undefined) throw new Error('two');
    await Promise.all([alice.goOffline(), bob.goOffline()]);
    const goBack = await remember(database());
    await alice.group().update();

    await goBack();
    await bob.group().update();
    // Nothing told alice that the service went back.
    await alice.group().receive();
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
    await alice.group().send('after');
    for (const member of [alice, bob]) member.goOnline();
    await settled([alice, bob], ['after']);
  });
});
