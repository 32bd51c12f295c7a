import { describe, expect, test } from 'vitest';
import type { Chat, ChatEvents, ChatMessage, MessageState } from '../../../client/index.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import type { Verdict } from '../../../web/break/check.ts';
import { type Told, type Watch, watch } from '../../../web/break/watch.ts';
import type { WindowReport } from '../../../web/break/window-report.ts';

function message(id: string, state: MessageState): ChatMessage {
  const own = { sender: 'alice', device: 'key', isOwn: true, isDeleted: false };
  return { id, conversation: 'c', text: 'hello', at: 0, state, ...own };
}

/** A window, and a chat that has what the test gives it. */
class Watched {
  messages: ChatMessage[] | undefined;
  now = 0;
  verdict: Verdict | undefined;
  readonly told: Told[] = [];
  readonly watch: Watch;
  readonly #listeners = new Map<string, (what: never) => void>();

  constructor(messages?: ChatMessage[]) {
    this.messages = messages;
    const chat = {
      state: { connection: 'online', unread: 0, conversations: [{ id: 'c', state: 'joined' }] },
      history: () =>
        this.messages === undefined ? Promise.reject(new Error('there is none')) : Promise.resolve(this.messages),
      on: (name: string, listener: (what: never) => void) => {
        this.#listeners.set(name, listener);
        return () => void this.#listeners.delete(name);
      },
    };
    this.watch = watch({
      ...{ window: 'w', user: 'alice', conversation: 'c', chat: chat as unknown as Chat },
      isCut: () => false,
      tell: (told) => void this.told.push(told),
      onVerdict: (verdict) => void (this.verdict = verdict),
      now: () => this.now,
    });
  }

  happens<K extends keyof ChatEvents>(event: K, what: ChatEvents[K]): void {
    this.#listeners.get(event)?.(what as never);
  }

  /** The newest. */
  get report(): WindowReport | undefined {
    const told = this.told.at(-1);
    return told !== undefined && 'report' in told ? told.report : undefined;
  }
}

describe('a window that watches a conversation', () => {
  test('says nothing while this device is not in the conversation, and then tells the others at once what it has read', async () => {
    const window = new Watched();
    await new Promise(setImmediate);
    window.watch.judge();
    window.watch.report();
    expect([window.verdict, window.told]).toEqual([undefined, []]);
    window.messages = [message('m1', { kind: 'seen', seq: 1 })];
    window.happens('state', { connection: 'online', conversations: [], unread: 0 });
    await waitUntil(() => window.report?.upTo === 1, { what: 'the others know it' });
    expect(window.verdict).toMatchObject({ sent: 1, lost: 0 });
    window.messages = [...window.messages, message('m2', { kind: 'seen', seq: 2 })];
    window.happens('message', message('m2', { kind: 'seen', seq: 2 }));
    await waitUntil(() => window.report?.upTo === 2, { what: 'the others know the second' });
    expect(window.report?.read).toEqual([[2, 'm2']]);
    // What they know is told again only when it is time.
    window.watch.look();
    await new Promise(setImmediate);
    expect(window.told).toHaveLength(2);
    window.watch.report();
    expect(window.told).toHaveLength(3);
  });

  test('does not miss a message that was given up after a restore', async () => {
    const window = new Watched([message('m1', { kind: 'sent', seq: 1 })]);
    await waitUntil(() => window.verdict?.inLog === 1, { what: 'it was acknowledged' });
    window.messages = [];
    window.happens('cancelled', { conversation: 'c', id: 'm1' });
    await waitUntil(() => window.verdict?.inLog === 0, { what: 'it is gone' });
    window.now = 20_000;
    window.watch.judge();
    expect(window.verdict).toMatchObject({ lost: 0 });
  });

  test('counts no window that was closed', async () => {
    const window = new Watched([]);
    await waitUntil(() => window.report !== undefined, { what: 'it has looked' });
    if (window.report !== undefined) window.watch.hear({ report: { ...window.report, window: 'other' } });
    window.watch.judge();
    expect(window.verdict).toMatchObject({ windows: 1 });
    window.watch.hear({ bye: 'other' });
    window.watch.judge();
    expect(window.verdict).toMatchObject({ windows: 0 });
  });

  test('says nothing more when it has ended', async () => {
    const window = new Watched([]);
    await waitUntil(() => window.report !== undefined, { what: 'it has looked' });
    window.watch.end();
    window.watch.report();
    window.watch.bye();
    expect(window.told).toEqual([{ report: expect.anything() as unknown }, { bye: 'w' }]);
  });
});
