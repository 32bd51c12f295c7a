import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../../client/index.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { refusal, standBetween } from '../../harness/between.ts';
import type { TestChat } from '../../harness/chats.ts';
import { chatOpener, shown, texts, untilSeenTyping, untilShown, untilTexts } from '../../harness/chats.ts';
import { FakeBrowser } from '../../harness/fake-tabs.ts';
import { reportedErrors } from '../../harness/reported-errors.ts';
import { useService } from '../../harness/service.ts';

const service = useService({ apis: 1, workers: 1 });
const open = chatOpener(service);
let run = 0;

interface Setting {
  readonly browser: FakeBrowser;
  readonly bob: TestChat;
  readonly id: string;
}

/** A browser of alice, and bob's chat; alice and bob have a conversation. */
async function begin(): Promise<Setting> {
  run++;
  const user = `alice-${run}`;
  const url = (): string => service().apis[0]?.url ?? '';
  const browser = new FakeBrowser(
    { mls: tsMls, user, url, token: () => service().token(user), keyPackages: 3 },
    memoryStore(),
  );
  const bob = await open(`bob-${run}`);
  const tab = await browser.open();
  const stock = async (): Promise<number> =>
    (await service().clientOf(user, { device: tab.device }).keyPackageCount()).available;
  await waitUntil(async () => (await stock()) > 0, { what: 'alice can be added' });
  const id = await bob.create({ users: [user] });
  await untilShown(tab, id, ({ members }) => members.length === 2, 'alice is in');
  await tab.close();
  return { browser, bob, id };
}

const idsOf = async (chat: Pick<TestChat, 'history'>, id: string): Promise<string[]> =>
  (await chat.history(id)).map((message) => message.id);

describe('several tabs with one device', () => {
  test('one leads, the others see and do the same', async () => {
    const { browser, bob, id } = await begin();
    const [first, second] = [await browser.open(), await browser.open()];
    expect([second.user, second.device]).toEqual([first.user, first.device]);
    const sent = await second.send(id, 'from the second');
    await untilTexts([bob], id, ['from the second']);
    await bob.send(id, 'from bob');
    await untilTexts([first, second, bob], id, ['from the second', 'from bob']);
    await waitUntil(() => second.statesOf(sent).at(-1) === 'seen', { what: 'the second tab is told' });
    expect(second.statesOf(sent)).toEqual(['waiting', 'sent', 'seen']);
    expect(second.statesOf(sent)).toEqual(first.statesOf(sent));
    await waitUntil(() => second.state.unread === 1, { what: 'it is unread in both' });
    await second.markRead(id);
    await waitUntil(() => first.state.unread === 0 && second.state.unread === 0, { what: 'it is read in both' });
    await untilSeenTyping(second, bob, id);
    // A refusal keeps its problem on its way.
    await expect(second.policy('AAAA')).rejects.toMatchObject({ name: 'ProblemError', code: 'not-found' });
  });

  test('another one takes over when the leader is closed, or crashes: nothing is lost, and nothing is sent twice', async () => {
    const { browser, bob, id } = await begin();
    const sent: string[] = [];
    let [leader, follower] = [await browser.open(), await browser.open()];
    for (let round = 0; round < 6; round++) {
      // Answered, and on their way while the leader ends.
      sent.push(await leader.send(id, `leader ${round}`));
      const calls = [follower.send(id, `follower ${round}`), follower.history(id), follower.safety(id)] as const;
      if (round % 2 === 0) leader.crash();
      else await leader.close();
      const [one, , safety] = await Promise.all(calls);
      sent.push(one);
      expect(safety.members).toHaveLength(2);
      expect(await idsOf(follower, id)).toEqual(expect.arrayContaining(sent));
      [leader, follower] = [follower, await browser.open()];
    }
    await untilTexts(
      [bob],
      id,
      sent.map((_, i) => `${i % 2 === 0 ? 'leader' : 'follower'} ${Math.floor(i / 2)}`),
    );
    expect(await idsOf(bob, id)).toEqual(sent);
    await waitUntil(() => leader.statesOf(sent.at(-1) ?? '').at(-1) === 'seen', { what: 'the last tab is told' });
  });

  test('a tab is told what the leader had read, and did not come to tell', async () => {
    const { browser, bob, id } = await begin();
    const leader = await browser.open();
    const follower = await browser.open();
    await bob.send(id, 'told');
    await waitUntil(() => follower.events.message.length === 1, { what: 'it is told' });
    leader.crash();
    await untilTexts([follower], id, ['told']);
    const sent = await bob.send(id, 'after');
    await waitUntil(() => follower.statesOf(sent).length > 0, { what: 'it is told' });
    expect(follower.events.message.map(({ text }) => text)).toEqual(['told', 'after']);
  });

  test('a listener of the app that throws is reported, and neither stops its tab nor keeps anything from the others', async () => {
    const { browser, bob, id } = await begin();
    const reported = reportedErrors();
    const leader = await browser.open();
    const follower = await browser.open();
    const last = await browser.open();
    leader.crash();
    await untilTexts([follower], id, []);
    for (const event of ['state', 'message'] as const) {
      follower.on(event, () => {
        throw new Error(`the app cannot show ${event}`);
      });
    }
    const sent = await bob.send(id, 'hello');
    await waitUntil(() => last.statesOf(sent).length > 0, { what: 'the other tab is told' });
    // The leader still has the lock: the other tab asks it.
    await last.send(id, 'hi');
    await untilTexts([follower, last, bob], id, ['hello', 'hi']);
    expect(new Set(reported)).toEqual(new Set(['the app cannot show state', 'the app cannot show message']));
    await follower.close();
    await last.send(id, 'and on');
    await untilTexts([last, bob], id, ['hello', 'hi', 'and on']);
  });

  test('a call that is no plain data is refused, and not made by the next tab either', async () => {
    const { browser, bob, id } = await begin();
    const leader = await browser.open();
    const follower = await browser.open();
    const options = { push: 'none', note: () => undefined } as const;
    await expect(follower.send(id, 'not plain', options)).rejects.toThrow('could not be cloned');
    leader.crash();
    await follower.send(id, 'plain');
    await untilTexts([follower, bob], id, ['plain']);
  });

  test('a tab whose turn it is, and that cannot open the store, tries again: what it was asked is done', async () => {
    const { browser, bob, id } = await begin();
    const leader = await browser.open();
    const follower = await browser.open();
    const get = browser.store.get.bind(browser.store);
    Object.assign(browser.store, { get: () => Promise.reject(new Error('the disk is busy')) });
    leader.crash();
    const asked = follower.send(id, 'asked meanwhile');
    await waitUntil(() => follower.events.trouble.length > 1, { what: 'it has tried twice' });
    expect(follower.events.trouble[0]?.message).toContain('the disk is busy');
    Object.assign(browser.store, { get });
    await asked;
    await untilTexts([follower, bob], id, ['asked meanwhile']);
  });

  test('all end when the device is logged out, and none takes it over', async () => {
    const { browser, id } = await begin();
    const tabs = [await browser.open(), await browser.open(), await browser.open()] as const;
    const [, second, third] = tabs;
    await second.logOut();
    for (const tab of tabs) {
      await waitUntil(() => tab.events.ended.length === 1, { what: 'it ends' });
      expect(tab.events.ended).toEqual([{ why: 'logged-out' }]);
    }
    await expect(third.send(id, 'too late')).rejects.toThrow('closed');
    expect(browser.store.entries()).toEqual([]);
  });

  test('a tab that cannot open the store says so, and leaves the lock to others', async () => {
    const browser = new FakeBrowser(
      { mls: tsMls, user: 'mallory', url: 'http://127.0.0.1:9', token: () => '' },
      memoryStore([['identity', JSON.stringify({ user: 'alice', device: 'x', signKey: '', publicKey: '' })]]),
    );
    await expect(browser.open()).rejects.toThrow('this store belongs to another device');
    await expect(browser.open()).rejects.toThrow('this store belongs to another device');
  });
});

describe('a service worker', () => {
  test('reads what is new under the lock of the tabs, and sends what waits', async () => {
    const { browser, bob, id } = await begin();
    await bob.send(id, 'while all tabs are closed');
    await untilTexts([bob], id, ['while all tabs are closed']);
    const messages = await browser.push();
    expect(messages?.map(({ sender, text, conversation }) => [sender, text, conversation])).toEqual([
      [bob.user, 'while all tabs are closed', id],
    ]);
    expect(await browser.push()).toEqual([]);
    const tab = await browser.open();
    expect(await texts(tab, id)).toEqual(['while all tabs are closed']);
    await untilShown(tab, id, ({ unread }) => unread === 1, 'it is still unread');
  });

  test('shows what it can read, although one conversation cannot be read', async () => {
    const { browser, bob, id } = await begin();
    const tab = await browser.open();
    const other = await bob.create({ users: [tab.user] });
    await untilShown(tab, other, ({ members }) => members.length === 2, 'alice is in');
    await tab.close();
    const device = tab.device;
    const isRead = (route: string, bad: string): boolean => route === `GET /v1/conversations/${bad}/messages`;
    let bad = id;
    standBetween((asked, pass) =>
      asked.device === device && isRead(asked.route, bad) ? Promise.resolve(refusal(500, 'internal')) : pass(),
    );
    for (const [unreadable, readable] of [
      [id, other],
      [other, id],
    ] as const) {
      bad = unreadable;
      await bob.send(readable, `in ${readable}`);
      await untilTexts([bob], readable, [`in ${readable}`]);
      expect((await browser.push())?.map(({ text }) => text)).toEqual([`in ${readable}`]);
    }
    await expect(browser.push()).rejects.toThrow('internal');
  });

  test('leaves it to a tab, if one is open', async () => {
    const { browser, bob, id } = await begin();
    const tab = await browser.open();
    await bob.send(id, 'hello');
    expect(await browser.push()).toBeUndefined();
    await untilTexts([tab], id, ['hello']);
    expect(shown(tab, id)?.unread).toBe(1);
  });

  test('makes no device where one has logged out', async () => {
    const { browser } = await begin();
    const tab = await browser.open();
    await tab.logOut();
    await tab.close();
    expect(await browser.push()).toEqual([]);
    expect(browser.store.entries()).toEqual([]);
  });
});
