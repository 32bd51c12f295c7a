import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { AccountEvent, CommitBundle } from '../../../client/index.ts';
import { newId, ParleyClient } from '../../../client/index.ts';
import { useDatabase } from '../../harness/database.ts';
import { textsOf } from '../../harness/mls-devices.ts';
import type { Member } from '../../harness/restarts.ts';
import { remember, restartGroups, settled } from '../../harness/restarts.ts';
import { useService } from '../../harness/service.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const database = useDatabase();
const service = useService({ apis: 1, workers: 1 }, database);
const gather = restartGroups(service);

/** Alice and bob, online in one group. */
async function pair(): Promise<[Member, Member]> {
  const [alice, bob] = (await gather(['alice', 'bob'])).members;
  if (alice === undefined || bob === undefined) throw new Error('two');
  return [alice, bob];
}

/** Two members that are offline: they do what the test does, and nothing else. */
async function offline(): Promise<[Member, Member]> {
  const both = await pair();
  await Promise.all(both.map((member) => member.goOffline()));
  return both;
}

async function allSettled(members: readonly Member[], texts: readonly string[]): Promise<void> {
  for (const member of members) member.goOnline();
  await settled(members, texts);
}

/** The next request of this kind, of any device, fails without an answer. */
function breakNext(method: 'send' | 'log'): void {
  const broken = vi.spyOn(ParleyClient.prototype, method).mockRejectedValueOnce(new TypeError('connection lost'));
  onTestFinished(() => broken.mockRestore());
}

/** Lets a member go online. Its first stream says that the log was restarted when it had this many entries, and then nothing more. */
async function hearLateNews(member: Member, lastSeq: number): Promise<void> {
  const conversation = member.group().id;
  const streams = vi.spyOn(ParleyClient.prototype, 'followAll').mockImplementationOnce(async function* (options) {
    yield { type: 'log-restarted', conversation, lastSeq } as AccountEvent;
    await new Promise((resolve) => options?.signal?.addEventListener('abort', resolve));
  });
  onTestFinished(() => streams.mockRestore());
  member.goOnline();
  await waitUntil(() => streams.mock.calls.length > 1, {
    what: 'the device has done what it had to, and connects again',
  });
}

/** The answer to the next commit says its place, but not the value of the chain there. */
function hideNextChain(): void {
  const commits = vi.spyOn(ParleyClient.prototype, 'commit').mockImplementationOnce(async function (
    this: ParleyClient,
    id: string,
    bundle: CommitBundle,
  ) {
    const { chain: _hidden, ...accepted } = await this.commit(id, bundle);
    return accepted;
  });
  onTestFinished(() => commits.mockRestore());
}

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
    const [alice, bob] = await pair();
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
    const [alice, bob] = await pair();
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
    const [alice, bob] = await offline();
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

  test.each([
    ['sends', () => undefined, (alice: Member) => alice.group().send('after')],
    ['sends from its outbox', () => undefined, (alice: Member) => deliver(alice, 'after')],
    ['joins again', () => undefined, (alice: Member) => alice.group().resync()],
    ['sends, and has no value of the chain for it', hideNextChain, (alice: Member) => alice.group().send('after')],
    ['sends from its outbox, and has none', hideNextChain, (alice: Member) => deliver(alice, 'after')],
  ])('is noticed by a device that has not read its own commit yet when it %s', async (what, hide, act) => {
    const [alice, bob] = await offline();
    const goBack = await remember(database());
    hide();
    await alice.group().update();

    await goBack();
    await act(alice);
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
    expect(alice.group().outbox.filter(({ state }) => state.kind === 'refused')).toEqual([]);
    await allSettled([alice, bob], what.startsWith('sends') ? ['after'] : []);
  });

  test.each([
    ['reads', (alice: Member) => alice.group().receive()],
    ['sends', () => Promise.resolve()],
  ])('is noticed by a device that %s before the log has come to the place of its own commit', async (_what, first) => {
    const { members } = await gather(['alice', 'bob', 'carol']);
    const [alice, bob, carol] = members;
    if (alice === undefined || bob === undefined || carol === undefined) throw new Error('three');
    await Promise.all(members.map((member) => member.goOffline()));
    const goBack = await remember(database());
    for (const text of ['one', 'two']) await bob.group().send(text);
    breakNext('log');
    await alice.group().update();

    await goBack();
    // The epoch has the number of that of alice now.
    await carol.group().update();
    await first(alice);
    await alice.group().send('after');
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
    await allSettled(members, ['one', 'two', 'after']);
    expect(members.flatMap(({ group }) => group().undecryptable)).toEqual([]);
  });

  test('is noticed once, whatever a stream says later: what a device without a state can read, it reads', async () => {
    const [alice, bob] = await offline();
    const goBack = await remember(database());
    await alice.group().update();
    await alice.group().receive();

    await goBack();
    await alice.group().compare();
    await alice.group().compare();
    await bob.group().send('common');
    await hearLateNews(alice, alice.group().position);
    bob.goOnline();
    await settled([alice, bob], ['common']);
    expect(alice.group().undecryptable).toEqual([]);
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
  });

  test('is over for a device that has dealt with it, whatever a stream says later', async () => {
    const [alice, bob] = await offline();
    const goBack = await remember(database());
    await alice.group().send('lost');
    await alice.group().receive();

    await goBack();
    await alice.group().compare();
    const { position } = alice.group();
    await alice.group().settle();
    await hearLateNews(alice, position);
    bob.goOnline();
    await settled([alice, bob], ['lost']);
    expect(alice.events.filter(({ type }) => type === 'log-restarted')).toMatchObject([{ isDead: false }]);
  });

  test('does not hold up a device that could not follow a commit, which another one has replaced', async () => {
    let isFull = false;
    const authentication = {
      verify: () => Promise.resolve(true),
      remember: () => (isFull ? Promise.reject(new Error('no space')) : Promise.resolve()),
    };
    const { members } = await gather(['alice', 'bob'], { authentication });
    const [alice, bob] = members;
    if (alice === undefined || bob === undefined) throw new Error('two');
    await Promise.all(members.map((member) => member.goOffline()));
    const goBack = await remember(database());
    await bob.group().update();
    isFull = true;
    await expect(alice.group().receive()).rejects.toThrow('no space');
    isFull = false;

    await goBack();
    await bob.group().send('after');
    const texts = (await alice.group().receive()).map(({ text }) => text);
    expect(texts).toEqual(['after']);
    expect(alice.events).toEqual([]);
    await allSettled([alice, bob], ['after']);
  });

  test('is noticed from a log that ends before an own message: it is sent again, also after a broken connection', async () => {
    const [alice, bob] = await offline();
    const goBack = await remember(database());
    await alice.group().send('lost');

    await goBack();
    breakNext('send');
    // Nobody else has written anything.
    await expect(alice.group().receive()).rejects.toThrow('connection lost');
    expect(alice.events).toMatchObject([{ type: 'log-restarted', isDead: false }]);
    await alice.group().receive();
    expect((await bob.group().receive()).map(({ text }) => text)).toEqual(['lost']);
    await allSettled([alice, bob], ['lost']);
  });

  test('leaves nothing of a device behind that is added again before it comes back', async () => {
    const { id, members, open } = await gather(['alice', 'bob']);
    const [alice, bob] = members;
    if (alice === undefined || bob === undefined) throw new Error('two');
    await Promise.all(members.map((member) => member.goOffline()));
    const dave = await open('dave');
    const goBack = await remember(database());
    await alice.device.invite(id, dave.device.user);
    await waitUntil(() => dave.device.groups.has(id), { what: 'dave is in the group' });
    await dave.goOffline();
    await dave.device.sync();
    await dave.group().send('from dave');

    await goBack();
    // The log grows past what dave knows of, so that he is added again behind it.
    const texts = Array.from({ length: 5 }, (_, i) => `message ${i}`);
    for (const text of texts) await bob.group().send(text);
    for (const member of [alice, bob]) member.goOnline();
    await alice.group().receive();
    await waitUntil(() => bob.group().members.includes(dave.device.user), { what: 'dave is added again' });
    dave.goOnline();
    await settled([alice, bob], [...texts, 'from dave']);
    await waitUntil(() => textsOf(dave.group()).includes('from dave'), { what: 'dave has his message' });
    expect(dave.group().isRestarting).toBe(false);
  });
});

async function deliver({ group }: Member, text: string): Promise<void> {
  await group().enqueue({ id: newId(), text, at: 0 });
  await group().deliver();
}
