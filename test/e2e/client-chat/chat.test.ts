import { describe, expect, test } from 'vitest';
import type { ChatConversation } from '../../../client/index.ts';
import { ProblemError, toBase64Url } from '../../../client/index.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { refusal, standBetween } from '../../harness/between.ts';
import type { OpenChatOptions, TestChat } from '../../harness/chats.ts';
import { chatOpener, shown, texts, untilSeenTyping, untilShown, untilTexts, usersOf } from '../../harness/chats.ts';
import { deviceOpener } from '../../harness/mls-devices.ts';
import { SENDER_SECRET } from '../../harness/off-boarding.ts';
import { reportedErrors } from '../../harness/reported-errors.ts';
import { useService } from '../../harness/service.ts';

const service = useService({ apis: 1, workers: 1, env: { EXTERNAL_SENDER_KEY: SENDER_SECRET } });
const opened = chatOpener(service);
const openDevice = deviceOpener(service);
let run = 0;

/** A chat of a user of this test. */
const open = (user: string, options?: OpenChatOptions): Promise<TestChat> => opened(`${user}-${run}`, options);

interface Gathered {
  readonly id: string;
  readonly chats: readonly TestChat[];
}

/** A conversation of these users, of which the first made it. */
async function gather(users: readonly string[], options: OpenChatOptions = {}): Promise<Gathered> {
  run++;
  const chats = await Promise.all(users.map((user) => open(user, options)));
  const [first] = chats;
  if (first === undefined) throw new Error('nobody');
  for (const chat of chats) await untilOnline(chat);
  const others = chats.slice(1).map(({ user }) => user);
  const id = await first.create({ users: others });
  for (const chat of chats) {
    await untilShown(chat, id, ({ members }) => members.length === chats.length, `${chat.user} is in`);
  }
  return { id, chats };
}

async function untilOnline(chat: TestChat): Promise<void> {
  const isReady = async (): Promise<boolean> =>
    chat.state.connection === 'online' &&
    (await service().clientOf(chat.user, { device: chat.device }).keyPackageCount()).available > 0;
  await waitUntil(isReady, { what: `${chat.user} is online, and can be added` });
}

/** Waits until all see as many devices: what one sends before that, a device that has just joined cannot read. */
async function untilDevices(chats: readonly TestChat[], id: string, count: number): Promise<void> {
  for (const chat of chats) {
    const isThere = ({ members }: ChatConversation): boolean => members.flatMap((one) => one.devices).length === count;
    await untilShown(chat, id, isThere, `${chat.user} sees ${count} devices`);
  }
}

function last(chats: readonly TestChat[]): TestChat {
  const chat = chats.at(-1);
  if (chat === undefined) throw new Error('nobody');
  return chat;
}

function two({ chats }: Gathered): [TestChat, TestChat] {
  const [alice, bob] = chats;
  if (alice === undefined || bob === undefined) throw new Error('two');
  return [alice, bob];
}

describe('a chat', () => {
  test('creates a conversation with users, sends, and tells each state of a message', async () => {
    const gathered = await gather(['alice', 'bob', 'carol']);
    const { id, chats } = gathered;
    const [alice, bob] = two(gathered);
    const sent = await alice.send(id, 'hello');
    await untilTexts(chats, id, ['hello']);
    expect(alice.statesOf(sent)).toEqual(['waiting', 'sent', 'seen']);
    expect(bob.statesOf(sent)).toEqual(['seen']);
    const [message] = await bob.history(id);
    expect(message).toMatchObject({ id: sent, sender: alice.user, isOwn: false, isDeleted: false });
    expect(message?.at).toBeGreaterThan(0);
    // The state is an event, too.
    await waitUntil(() => bob.events.state.at(-1)?.conversations[0]?.last?.text === 'hello', { what: 'it is told' });
    // The commit by which one of them renews its keys may still be on its way.
    await tryUntil(
      async () => {
        const safeties = await Promise.all(chats.map((chat) => chat.safety(id)));
        expect(new Set(safeties.map(({ epochAuthenticator }) => epochAuthenticator)).size).toBe(1);
        expect(safeties[0]?.position?.chain).toBe(safeties[1]?.position?.chain);
      },
      { what: 'all are in one state' },
    );
    expect((await alice.policy(id)).externalJoin).toBe('member');
  });

  test('adds users, also when a commit of somebody else wins the race, and names those who cannot be added', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const others = await Promise.all(['carol', 'dave'].map((user) => open(user)));
    for (const chat of others) await untilOnline(chat);
    const [carol, dave] = others as [TestChat, TestChat];
    const [first, second] = await Promise.all([alice.add(id, [carol.user]), bob.add(id, [dave.user, 'nobody'])]);
    expect(first).toMatchObject({ invited: [carol.user], missing: [] });
    expect(second.invited).toEqual([dave.user]);
    for (const chat of [alice, bob, carol, dave])
      await untilShown(chat, id, ({ members }) => members.length === 4, `${chat.user} sees all`);
    await dave.send(id, 'here I am');
    await untilTexts([alice, bob, carol], id, ['here I am']);
  });

  test('removes a user, and one lets itself out; the conversation can still be read', async () => {
    const gathered = await gather(['alice', 'bob', 'carol']);
    const { id, chats } = gathered;
    const [alice, bob] = two(gathered);
    const carol = last(chats);
    await alice.send(id, 'before');
    await untilTexts(chats, id, ['before']);
    await alice.remove(id, [bob.user]);
    await untilShown(bob, id, ({ state }) => state === 'removed', 'bob is out');
    expect(await texts(bob, id)).toEqual(['before']);
    for (const call of [bob.remove(id, [alice.user]), bob.send(id, 'no more'), bob.add(id, ['x'])])
      await expect(call).rejects.toMatchObject({ name: 'ProblemError', status: 403, code: 'removed' });
    for (const call of [bob.send('AAAA', 'no'), bob.history('AAAA'), bob.delete(id, 'none'), bob.policy('AAAA')])
      await expect(call).rejects.toMatchObject({ name: 'ProblemError', status: 404, code: 'not-found' });
    await carol.leave(id);
    await untilShown(alice, id, (one) => usersOf(one) === alice.user, 'carol is out of the tree');
    expect(shown(carol, id)?.state).toBe('removed');
    // Asked again, as of the next tab, it is done already.
    for (const chat of [bob, carol]) await chat.leave(id);
  });

  test('leaves, and creates, although the answer is lost: asked again, it is done', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    let isLosing = true;
    standBetween(async ({ route, device }, pass) => {
      const answer = await pass();
      const isLost = isLosing && device === bob.device && /^(?:POST .*\/conversations|.* .*\/members\/.*)$/.test(route);
      if (isLost) throw new TypeError('the connection broke');
      return answer;
    });
    await expect(bob.leave(gathered.id)).rejects.toThrow('the connection broke');
    const id = toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
    await expect(bob.create({ id })).rejects.toThrow('the connection broke');
    expect(shown(bob, id)).toBeUndefined();
    isLosing = false;
    await bob.leave(gathered.id);
    expect(shown(bob, gathered.id)?.state).toBe('removed');
    await untilShown(alice, gathered.id, (one) => usersOf(one) === alice.user, 'bob is out of the tree');
    expect(await bob.create({ id, users: [alice.user] })).toBe(id);
    await bob.send(id, 'still mine');
    await untilTexts([alice, bob], id, ['still mine']);
  });

  test('a device that states the id of a message of another gets another one', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const original = await bob.send(id, 'the original');
    await untilTexts([alice, bob], id, ['the original']);
    // A hostile program: the service knows other ids of its messages than those that are encrypted in them.
    const mallory = `mallory-${run}`;
    const api = service().clientOf(mallory, { device: 'phone' });
    const send = api.send.bind(api);
    Object.assign(api, {
      send: ((to, message) => send(to, { ...message, id: crypto.randomUUID() })) satisfies typeof send,
    });
    const { device } = await openDevice(`${mallory}/phone`, { api });
    await alice.add(id, [mallory]);
    await device.sync();
    const group = device.group(id);
    for (const stated of [original, 'seq-1', `${original}~${group.ownDevice}`]) {
      await group.enqueue({ id: stated, text: 'a copy', at: 0 });
    }
    await group.deliver();
    for (const chat of [alice, bob]) {
      await untilTexts([chat], id, ['the original', 'a copy', 'a copy', 'a copy']);
      expect((await chat.history(id)).map((one) => one.id)).toEqual([
        original,
        ...[original, 'seq-1', `${original}~${group.ownDevice}`].map((one) => `${one}~${group.ownDevice}`),
      ]);
    }
    await alice.delete(id, `${original}~${group.ownDevice}`);
    await untilTexts([alice, bob], id, ['the original', '(deleted)', 'a copy', 'a copy']);
    // An app may choose such ids too.
    const own = await alice.send(id, 'mine', { id: 'seq-2' });
    await waitUntil(() => alice.statesOf(own).at(-1) === 'seen', { what: 'it is sent' });
  });

  test('goes on when a listener of the app throws', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const reported = reportedErrors();
    const heard: string[] = [];
    alice.on('message', ({ text }) => {
      throw new Error(`cannot show ${text}`);
    });
    alice.on('message', ({ state }) => void heard.push(state.kind));
    await alice.send(id, 'one');
    await untilTexts([alice, bob], id, ['one']);
    await bob.send(id, 'two');
    await untilTexts([alice, bob], id, ['one', 'two']);
    expect(heard).toEqual(['waiting', 'sent', 'seen', 'seen']);
    expect(reported).toEqual(['cannot show one', 'cannot show one', 'cannot show one', 'cannot show two']);
    expect(alice.events.trouble).toEqual([]);
  });

  test('pages back through its history', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const wanted = Array.from({ length: 12 }, (_, i) => `message ${i}`);
    for (const text of wanted) await alice.send(id, text);
    await untilTexts([alice, bob], id, wanted);
    const read: string[] = [];
    for (let before: string | undefined; ;) {
      const page = await bob.history(id, { limit: 5, ...(before === undefined ? {} : { before }) });
      read.unshift(...page.map(({ text }) => text));
      before = page[0]?.id;
      if (before === undefined) break;
    }
    expect(read).toEqual(wanted);
  });

  test('counts what is unread, and what is read on one device is read on the other', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const laptop = await open('bob');
    await untilShown(laptop, id, ({ state }) => state === 'joined', 'the laptop has joined by itself');
    // What alice sends before she knows of the laptop, it cannot read.
    await untilDevices([alice, bob], id, 3);
    const unread = (chat: TestChat): number => shown(chat, id)?.unread ?? -1;
    const untilUnread = (wanted: number): Promise<void> =>
      waitUntil(() => unread(bob) === wanted && unread(laptop) === wanted, { what: `both show ${wanted}` }).catch(
        (error: unknown) => {
          throw new Error(`${String(error)}: ${unread(bob)} and ${unread(laptop)}`);
        },
      );
    for (const text of ['one', 'two', 'three']) await alice.send(id, text);
    await untilUnread(3);
    expect(bob.state.unread).toBe(3);
    const [one, two_] = await bob.history(id);
    await laptop.markRead(id, one?.id);
    await untilUnread(2);
    await bob.markRead(id);
    await untilUnread(0);
    await bob.markUnread(id, two_?.id ?? '');
    await untilUnread(2);
    await alice.send(id, 'four');
    await untilUnread(3);
    // A new process counts none of them twice.
    await bob.close();
    const again = await open('bob', { store: bob.store, isCut: true, device: bob.device });
    expect(unread(again)).toBe(3);
    again.cut(false);
    await alice.send(id, 'five');
    await waitUntil(() => unread(again) === 4, { what: 'one more is unread' });
    expect(unread(alice)).toBe(0);
  });

  test('shows who is typing, until the message is there', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    await untilSeenTyping(alice, bob, id);
    await alice.send(id, 'typed');
    await untilShown(bob, id, ({ typing, last }) => typing.length === 0 && last?.text === 'typed', 'it is there');
    expect(shown(alice, id)?.typing).toEqual([]);
  });

  test('deletes a message for everybody, also for who was away', async () => {
    const gathered = await gather(['alice', 'bob', 'carol']);
    const { id, chats } = gathered;
    const [alice, bob] = two(gathered);
    const carol = last(chats);
    const sent = await bob.send(id, 'a mistake');
    await untilTexts(chats, id, ['a mistake']);
    await carol.close();
    await bob.delete(id, sent);
    await untilTexts([alice, bob], id, ['(deleted)']);
    expect(alice.events.message.at(-1)).toMatchObject({ id: sent, isDeleted: true, text: '' });
    const again = await open('carol', { store: carol.store, device: carol.device });
    await untilTexts([again], id, ['(deleted)']);
    await alice.send(id, 'mine');
    await untilTexts([bob], id, ['(deleted)', 'mine']);
    const mine = (await bob.history(id)).at(-1)?.id ?? '';
    await expect(bob.delete(id, mine)).rejects.toMatchObject({ code: 'not-allowed' });
  });

  test('joins by a link where anybody may, and by a request that a member admits', async () => {
    run++;
    const alice = await open('alice');
    const eve = await open('eve');
    await untilOnline(eve);
    const anybody = await alice.create({ policy: { externalJoin: 'anyone' } });
    await eve.join(anybody);
    await eve.send(anybody, 'found it');
    await untilTexts([alice, eve], anybody, ['found it']);

    const asked = await alice.create({ policy: { externalJoin: 'request' } });
    await expect(eve.join(asked)).rejects.toThrow(ProblemError);
    await eve.askToJoin(asked);
    await untilShown(alice, asked, ({ requests }) => requests.length === 1, 'alice sees the request');
    const [request] = shown(alice, asked)?.requests ?? [];
    expect(request?.user).toBe(eve.user);
    expect(await alice.admit(asked, request?.ref ?? '')).toBe(true);
    await untilShown(eve, asked, ({ state }) => state === 'joined', 'eve is in');
    expect(await alice.admit(asked, request?.ref ?? '')).toBe(false);
    await alice.send(asked, 'welcome');
    await untilTexts([alice, eve], asked, ['welcome']);
  });

  test('joins again when the app asks, and both go on', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    await alice.send(id, 'before');
    await untilTexts([bob], id, ['before']);
    await bob.rejoin(id);
    expect(bob.events.rejoined).toEqual([{ conversation: id, reason: 'requested' }]);
    await bob.send(id, 'after');
    await untilTexts([alice, bob], id, ['before', 'after']);
  });

  test('sends what waits, and joins what is missing, although the list of conversations fails for a while', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    let failures = 0;
    let isFailing = true;
    standBetween(({ route }, pass) =>
      isFailing && route === 'GET /v1/conversations' && ++failures > 0
        ? Promise.resolve(refusal(503, 'unavailable'))
        : pass(),
    );
    alice.cut(true);
    await alice.send(id, 'it waited');
    await alice.close();
    const again = await open('alice', { store: alice.store, device: alice.device });
    const laptop = await open('bob');
    await untilTexts([again, bob], id, ['it waited']);
    // More than the tries of one request.
    await waitUntil(() => laptop.events.trouble.length > 1, { what: 'the list fails' });
    expect(shown(laptop, id)).toBeUndefined();
    const connections = laptop.events.state.filter(({ connection }) => connection === 'offline').length;
    isFailing = false;
    await untilShown(laptop, id, ({ state }) => state === 'joined', 'the laptop has joined');
    expect(laptop.events.state.filter(({ connection }) => connection === 'offline')).toHaveLength(connections);
    expect(failures).toBeGreaterThan(0);
  });

  test('joins at once what another device of its user creates', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice] = two(gathered);
    const laptop = await open('alice');
    await untilShown(laptop, gathered.id, ({ state }) => state === 'joined', 'the laptop is there');
    const id = await alice.create();
    await untilShown(laptop, id, ({ state }) => state === 'joined', 'the laptop has joined');
    await untilDevices([alice], id, 2);
    await alice.send(id, 'to myself');
    await untilTexts([alice, laptop], id, ['to myself']);
    expect(laptop.events.trouble).toEqual([]);
  });

  test('is there again when its user is added again, also without a Welcome', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const laptop = await open('bob');
    await untilShown(laptop, id, ({ state }) => state === 'joined', 'the laptop is there');
    await untilDevices([alice], id, 3);
    await alice.send(id, 'before');
    await untilTexts([alice, bob, laptop], id, ['before']);
    await alice.remove(id, [bob.user]);
    for (const chat of [bob, laptop]) await untilShown(chat, id, ({ state }) => state === 'removed', 'bob is out');
    // The laptop has no key package.
    standBetween(async ({ route }, pass) => {
      const answer = await pass();
      if (!route.endsWith(`/${bob.user}/key-packages/claim`)) return answer;
      const claimed = (await answer.json()) as { keyPackages: { device: string }[]; exhausted: string[] };
      const keyPackages = claimed.keyPackages.filter(({ device }) => device !== laptop.device);
      return Response.json({ ...claimed, keyPackages, exhausted: [laptop.device] });
    });
    expect(await alice.add(id, [bob.user])).toMatchObject({ exhausted: [{ device: laptop.device }] });
    for (const chat of [bob, laptop]) await untilShown(chat, id, ({ state }) => state === 'joined', 'bob is in');
    await untilDevices([alice], id, 3);
    await alice.send(id, 'after');
    await untilTexts([alice, bob, laptop], id, ['before', 'after']);
  });

  test('a removed device does not come back by itself', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const laptop = await open('bob');
    await untilShown(laptop, id, ({ state }) => state === 'joined', 'the laptop is there');
    await alice.removeDevice(id, (await laptop.safety(id)).device);
    await untilShown(laptop, id, ({ state }) => state === 'removed', 'the laptop is out');
    await laptop.close();
    const again = await open('bob', { store: laptop.store, device: laptop.device });
    await untilOnline(again);
    // It has caught up when it has joined what it is missing.
    const other = await bob.create();
    await untilShown(again, other, ({ state }) => state === 'joined', 'it has caught up');
    expect(shown(again, id)?.state).toBe('removed');
  });

  test('tells what its calls read while it has no stream: messages, and that others were deleted', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const carol = await open('carol');
    await untilOnline(carol);
    const mistake = await bob.send(id, 'a mistake');
    await untilTexts([alice, bob], id, ['a mistake']);
    await alice.close();
    await bob.delete(id, mistake);
    const news = await bob.send(id, 'news');
    await untilTexts([bob], id, ['(deleted)', 'news']);
    standBetween(({ route, device }, pass) =>
      route === 'GET /v1/events' && device === alice.device ? Promise.resolve(refusal(403, 'not-allowed')) : pass(),
    );
    const again = await open('alice', { store: alice.store, device: alice.device });
    await waitUntil(() => again.events.trouble.length > 1, { what: 'it gets no stream' });
    expect(again.events.message).toEqual([]);
    await again.add(id, [carol.user]);
    expect(await texts(again, id)).toEqual(['(deleted)', 'news']);
    expect(again.events.message.map((one) => [one.id, one.text, one.isDeleted])).toEqual([
      [news, 'news', false],
      [mistake, '', true],
    ]);
    expect(shown(again, id)?.last?.text).toBe('news');
  });

  test('a removed device is out of the group, and its user is not', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    const laptop = await open('bob');
    await untilShown(laptop, id, ({ state }) => state === 'joined', 'the laptop has joined');
    const key = (await laptop.safety(id)).device;
    await alice.removeDevice(id, key);
    await untilShown(laptop, id, ({ state }) => state === 'removed', 'the laptop is out');
    await bob.send(id, 'still here');
    await untilTexts([alice, bob], id, ['still here']);
  });

  test.each([{ externalSender: true }, { externalSender: false }])(
    'logs out: the service forgets the device, the others drop its leaf, and nothing is left in the store ($externalSender)',
    async (options) => {
      const gathered = await gather(['alice', 'bob'], options);
      const [alice, bob] = two(gathered);
      const { id } = gathered;
      const laptop = await open('bob', options);
      const devices = ({ members }: { members: readonly { user: string; devices: readonly string[] }[] }): number =>
        members.flatMap((one) => one.devices).length;
      for (const chat of [alice, bob, laptop]) await untilShown(chat, id, (one) => devices(one) === 3, 'all are in');
      expect(await bob.devices()).toHaveLength(2);
      await laptop.logOut();
      expect(laptop.events.ended).toEqual([{ why: 'logged-out' }]);
      expect(laptop.store.entries()).toEqual([]);
      for (const chat of [alice, bob]) await untilShown(chat, id, (one) => devices(one) === 2, 'its leaf is gone');
      expect(await bob.devices()).toHaveLength(1);
      await bob.send(id, 'bye');
      await untilTexts([alice, bob], id, ['bye']);
    },
  );

  test('that cannot log out, since there is no network, goes on', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice, bob] = two(gathered);
    const { id } = gathered;
    bob.cut(true);
    await expect(bob.logOut()).rejects.toThrow();
    bob.cut(false);
    await alice.send(id, 'are you there?');
    await untilTexts([bob], id, ['are you there?']);
    expect(bob.events.ended).toEqual([]);
  });

  test('that is closed while it logs out does not go on', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [, bob] = two(gathered);
    bob.cut(true);
    let isOver = false;
    const leaving = bob.logOut().catch((error: unknown) => {
      isOver = true;
      return error;
    });
    await bob.close();
    expect(isOver).toBe(true);
    expect(await leaving).toBeInstanceOf(Error);
    const left = bob.store.entries();
    bob.cut(false);
    // Whoever followed here would be replaced, or replace the other.
    const again = await open('bob', { store: bob.store, device: bob.device });
    await untilOnline(again);
    expect(bob.state.connection).not.toBe('online');
    expect([bob.events.ended, again.events.ended]).toEqual([[], []]);
    expect(left.length).toBeGreaterThan(0);
    await expect(bob.logOut()).rejects.toThrow('the chat is closed');
  });

  test('closes when what it was asked has ended, and is asked nothing after that', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice] = two(gathered);
    const { id } = gathered;
    const carol = await open('carol');
    await untilOnline(carol);
    const asked = [alice.add(id, [carol.user]), alice.send(id, 'last words'), alice.markRead(id)];
    await alice.close();
    const left = alice.store.entries();
    await Promise.all(asked);
    expect(alice.store.entries()).toEqual(left);
    for (const call of [alice.send(id, 'too late'), alice.history(id), alice.create(), alice.devices()])
      await expect(call).rejects.toThrow('the chat is closed');
    const again = await open('alice', { store: alice.store, device: alice.device });
    await untilTexts([again, carol], id, ['last words']);
  });

  test('a device that another one forgets ends', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [, bob] = two(gathered);
    const stolen = await open('bob');
    await untilOnline(stolen);
    await bob.forgetDevice(stolen.device);
    await waitUntil(() => stolen.events.ended.length > 0, { what: 'the chat ends' });
    expect(stolen.events.ended).toEqual([{ why: 'unauthenticated' }]);
  });

  test('a second program on the same device takes its place', async () => {
    const gathered = await gather(['alice', 'bob']);
    const [alice] = two(gathered);
    await open('alice', { store: alice.store, device: alice.device });
    await waitUntil(() => alice.events.ended.length > 0, { what: 'the first one ends' });
    expect(alice.events.ended).toEqual([{ why: 'replaced' }]);
  });
});
