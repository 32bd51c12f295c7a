import { describe, expect, test } from 'vitest';
import { useDatabase } from '../harness/database.ts';
import { textsOf } from '../harness/mls-devices.ts';
import type { Member } from '../harness/restarts.ts';
import { remember, restartGroups, settled } from '../harness/restarts.ts';
import { useService } from '../harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

const database = useDatabase();
const service = useService({ workers: 1, env: { RATE_LIMIT_MESSAGES: '0', RATE_LIMIT_COMMITS: '0' } }, database);
const gather = restartGroups(service);

type Trio = readonly [Member, Member, Member];
const trio = (members: readonly Member[]): Trio => {
  const [alice, bob, carol] = members;
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error('three');
  return [alice, bob, carol];
};
/** Whether each has lost its state, of those that have noticed a restart. */
const deaths = (members: readonly Member[]): boolean[] =>
  members.flatMap(({ events }) => events.flatMap((event) => (event.type === 'log-restarted' ? [event.isDead] : [])));

const noticed = (members: readonly Member[]): Promise<void> =>
  waitUntil(() => members.every((member) => deaths([member]).length > 0), { what: 'all have noticed the restart' });

describe('a rollback', () => {
  test.each(['before', 'at', 'after'] as const)(
    'to %s a commit: no message is missing, none comes twice',
    async (when) => {
      const { members } = await gather(['alice', 'bob', 'carol']);
      const [alice, bob, carol] = trio(members);
      await alice.group().send('one');
      await settled(members, ['one']);
      const before = await remember(database());
      await bob.group().update();
      await settled(members, ['one']);
      const at = await remember(database());
      await carol.group().send('two');
      await settled(members, ['one', 'two']);
      const after = await remember(database());
      await alice.group().send('three');
      await settled(members, ['one', 'two', 'three']);
      const { epoch } = alice.group();

      await { before, at, after }[when]();
      await noticed(members);
      await settled(members, ['one', 'two', 'three']);
      expect(deaths(members)).toEqual(members.map(() => when === 'before'));
      await bob.group().send('four');
      await settled(members, ['one', 'two', 'three', 'four']);
      for (const { group } of members) expect(group().history.filter(({ lost }) => lost !== undefined)).toEqual([]);
      if (when !== 'before') expect(alice.group().epoch).toBe(epoch + 1);
    },
  );

  test.each([
    ['is there', false],
    ['comes back later', true],
  ])('of an addition: who was added and %s is added again, with a new key package', async (_what, isAway) => {
    const { id, members, open } = await gather(['alice', 'bob']);
    const [alice, bob] = members;
    if (alice === undefined || bob === undefined) throw new Error('two');
    const dave = await open('dave');
    const goBack = await remember(database());
    await alice.device.invite(id, dave.device.user);
    await waitUntil(() => dave.device.groups.has(id), { what: 'dave is in the group' });
    await dave.group().send('hello');
    await settled([alice, bob, dave], ['hello']);
    await dave.goOffline();
    await dave.group().send('unread');

    await goBack();
    if (isAway) {
      await noticed([alice, bob]);
      await waitUntil(() => alice.group().members.includes(dave.device.user), { what: 'dave is added again' });
    } else {
      await dave.group().compare();
    }
    dave.goOnline();
    await noticed([alice, bob]);
    await waitUntil(() => alice.group().members.includes(dave.device.user), { what: 'dave is back' });
    await settled([alice, bob, dave], ['hello', 'unread']);
    await dave.group().send('again');
    await settled([alice, bob, dave], ['hello', 'unread', 'again']);
  });

  test('that loses 201 messages: nobody has to bridge the keys of the lost ones', async () => {
    const { members } = await gather(['alice', 'bob', 'carol']);
    const [alice, bob, carol] = trio(members);
    await carol.goOffline();
    const goBack = await remember(database());
    const texts = Array.from({ length: 201 }, (_, i) => `message ${i}`);
    for (const text of texts) await alice.group().send(text);
    await settled([alice, bob], texts);

    await goBack();
    await noticed([alice, bob]);
    await settled([alice, bob], texts);
    carol.goOnline();
    await settled(members, texts);
    expect(carol.group().undecryptable).toEqual([]);
    expect(deaths(members)).toEqual([false, false]);
  });

  test('after which everybody has lost the state but one that was offline all the time', async () => {
    const { members } = await gather(['alice', 'bob', 'carol']);
    const [alice, bob, carol] = trio(members);
    await carol.goOffline();
    const goBack = await remember(database());
    await alice.group().update();
    await bob.group().update();
    await bob.group().send('lost');
    await settled([alice, bob], ['lost']);

    await goBack();
    await noticed([alice, bob]);
    await settled([alice, bob], ['lost']);
    expect(deaths([alice, bob])).toEqual([true, true]);
    carol.goOnline();
    await carol.group().send('back');
    await settled(members, ['lost', 'back']);
    expect(carol.events).toEqual([]);
  });

  test('of a group that nobody may join: an admin makes a successor, without those who were removed', async () => {
    const { id, members, copyOf } = await gather(['alice', 'bob', 'carol'], {
      policy: { externalJoin: 'nobody' },
    });
    const [alice, bob, carol] = trio(members);
    await carol.goOffline();
    const old = await copyOf(carol);
    const goBack = await remember(database());
    await alice.group().remove(carol.device.user);
    await bob.group().receive();
    await goBack();

    await waitUntil(() => alice.device.group(id).successor !== undefined, { what: 'there is a successor' });
    const successor = alice.device.group(id).successor ?? '';
    await waitUntil(() => bob.device.groups.has(successor), { what: 'bob is in it' });
    const usersOf = async (): Promise<string> => {
      const { members: users } = await service().clientOf(alice.device.user).members(successor);
      return users
        .map(({ user }) => user)
        .sort()
        .join();
    };
    const both = [alice.device.user, bob.device.user];
    await waitUntil(async () => (await usersOf()) === both.join(), { what: 'carol is no member of it' });
    await waitUntil(() => both.every((user) => alice.device.groups.get(successor)?.members.includes(user) === true), {
      what: 'both have a leaf in it',
    });
    await alice.device.group(successor).send('secret');
    await waitUntil(() => textsOf(bob.device.group(successor)).includes('secret'), { what: 'bob reads it' });
    await expect(old.device.joinExternally(successor)).rejects.toThrow('403 removed');
  });
});
