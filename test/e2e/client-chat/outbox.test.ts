import { describe, expect, test } from 'vitest';
import { toBase64Url } from '../../../client/index.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import type { TestChat } from '../../harness/chats.ts';
import { chatOpener, shown, texts, untilShown, untilTexts } from '../../harness/chats.ts';
import { useDatabase } from '../../harness/database.ts';
import { deviceOpener } from '../../harness/mls-devices.ts';
import { remember } from '../../harness/restarts.ts';
import { useService } from '../../harness/service.ts';

const database = useDatabase();
const service = useService({ apis: 1, workers: 1 }, database);
const open = chatOpener(service);
const openDevice = deviceOpener(service);
let run = 0;

interface Pair {
  readonly id: string;
  readonly alice: TestChat;
  readonly bob: TestChat;
}

/** A conversation of alice and bob. */
async function pair(): Promise<Pair> {
  run++;
  const [alice, bob] = [await open(`alice-${run}`), await open(`bob-${run}`)];
  const stock = async (): Promise<number> =>
    (await service().clientOf(bob.user, { device: bob.device }).keyPackageCount()).available;
  await waitUntil(async () => (await stock()) > 0, { what: 'bob can be added' });
  const id = await alice.create({ users: [bob.user] });
  for (const chat of [alice, bob]) await untilShown(chat, id, ({ members }) => members.length === 2, 'both are in');
  await waitUntil(() => alice.state.connection === 'online', { what: 'alice is online' });
  return { id, alice, bob };
}

/** The same device in another process. */
async function again(chat: TestChat, options: { readonly isCut?: boolean } = {}): Promise<TestChat> {
  await chat.close();
  return open(chat.user, { store: chat.store, device: chat.device, ...options });
}

const ids = async (chat: TestChat, id: string): Promise<string[]> =>
  (await chat.history(id)).map((message) => message.id);

describe('what a person writes', () => {
  test('without a network waits, in order and with its ids, over a restart of the program, and is sent with the network', async () => {
    const { id, alice, bob } = await pair();
    const offline = await again(alice, { isCut: true });
    const sent = [await offline.send(id, 'one'), await offline.send(id, 'two')];
    // A second call with an id does nothing.
    expect(await offline.send(id, 'twice', { id: sent[0] ?? '' })).toBe(sent[0]);
    expect(await texts(offline, id)).toEqual(['one (waiting)', 'two (waiting)']);
    const later = await again(offline, { isCut: true });
    sent.push(await later.send(id, 'three'));
    // An id of the form that a chat makes, and a call that is asked again.
    const doomed = await later.send(id, 'never mind', { id: 'a~b' });
    expect([await later.cancel(id, doomed), await later.cancel(id, doomed)]).toEqual([true, true]);
    expect(later.events.cancelled).toEqual([{ conversation: id, id: doomed }]);
    await bob.send(id, 'meanwhile');
    await untilTexts([bob], id, ['meanwhile']);
    expect(later.state.connection).not.toBe('online');
    later.cut(false);
    await untilTexts([later, bob], id, ['meanwhile', 'one', 'two', 'three']);
    expect((await ids(bob, id)).slice(1)).toEqual(sent);
    for (const one of sent) expect(later.statesOf(one).slice(-2)).toEqual(['sent', 'seen']);
    expect(await later.cancel(id, sent[0] ?? '')).toBe(false);
  });

  test('and the service refuses stays with its problem, holds nothing up, and can be sent after all', async () => {
    const { id, alice, bob } = await pair();
    const large = await alice.send(id, 'x'.repeat(3_000_000));
    await alice.send(id, 'small');
    await untilTexts([bob], id, ['small']);
    await waitUntil(() => alice.statesOf(large).at(-1) === 'refused', { what: 'it is refused' });
    const refused = (await alice.history(id)).find((one) => one.id === large)?.state;
    expect(refused).toMatchObject({ kind: 'refused', problem: { status: 413, code: 'too-large' } });
    await alice.retry(id, large);
    await waitUntil(() => alice.statesOf(large).length === 4, { what: 'it is refused again' });
    expect(alice.statesOf(large)).toEqual(['waiting', 'refused', 'waiting', 'refused']);
    // It is still there for the next process.
    const next = await again(alice);
    expect((await next.history(id)).map(({ state }) => state.kind)).toEqual(['seen', 'refused']);
    expect(await next.cancel(id, large)).toBe(true);
    expect(await texts(next, id)).toEqual(['small']);
  });

  test('survives commits of others that win, and a rejoin', async () => {
    const { id, alice, bob } = await pair();
    alice.cut(true);
    const sent = [await alice.send(id, 'one'), await alice.send(id, 'two')];
    // More epochs than the service takes messages of.
    for (let i = 0; i < 4; i++) await bob.rejoin(id);
    alice.cut(false);
    await untilTexts([alice, bob], id, ['one', 'two']);
    alice.cut(true);
    sent.push(await alice.send(id, 'three'));
    alice.cut(false);
    await Promise.all([alice.rejoin(id), bob.rejoin(id)]);
    await untilTexts([alice, bob], id, ['one', 'two', 'three']);
    expect(await ids(bob, id)).toEqual(sent);
  });

  test('survives a restore of the service: what was sent is lost for a while, and comes again', async () => {
    const { id, alice, bob } = await pair();
    await alice.send(id, 'kept');
    await untilTexts([alice, bob], id, ['kept']);
    const goBack = await remember(database());
    const lost = await alice.send(id, 'lost');
    await untilTexts([alice, bob], id, ['kept', 'lost']);
    alice.cut(true);
    const waits = await alice.send(id, 'waits');
    await goBack();
    alice.cut(false);
    await untilTexts([alice, bob], id, ['kept', 'lost', 'waits']);
    expect(alice.statesOf(lost)).toEqual(['waiting', 'sent', 'seen', 'lost', 'seen']);
    expect(alice.statesOf(waits)).toEqual(['waiting', 'sent', 'seen']);
    expect(bob.statesOf(lost)).toEqual(['seen', 'lost', 'seen']);
    expect((await ids(bob, id)).slice(1)).toEqual([lost, waits]);
  });

  test('waits for the conversation that replaces its own', async () => {
    const { id, alice, bob } = await pair();
    const { device } = await openDevice(`carol-${run}/phone`);
    await alice.add(id, ['carol-' + String(run)]);
    await device.sync();
    await service().clientOf(alice.user, { device: alice.device }).setRole(id, device.user, 'admin');
    alice.cut(true);
    const sent = await alice.send(id, 'for whoever comes');
    const next = await device.reset(id);
    alice.cut(false);
    await untilTexts([alice, bob], next.id, ['for whoever comes']);
    expect(await ids(bob, next.id)).toEqual([sent]);
    expect(alice.events.cancelled).toEqual([{ conversation: id, id: sent }]);
    expect(shown(alice, id)).toMatchObject({ successor: next.id });
    expect(await texts(alice, id)).toEqual([]);
  });
});

describe('a conversation', () => {
  test('that could not be created is not there; a second try with its id makes it', async () => {
    const alice = await open(`alice-${++run}`, { isCut: true });
    const id = toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
    await expect(alice.create({ id })).rejects.toThrow();
    expect(alice.state.conversations).toEqual([]);
    alice.cut(false);
    expect(await alice.create({ id })).toBe(id);
    expect(await alice.create({ id })).toBe(id);
    await alice.send(id, 'for me');
    await untilTexts([alice], id, ['for me']);
  });
});
