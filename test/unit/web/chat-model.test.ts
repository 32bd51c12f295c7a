import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ChatConversation, ChatEvents, ChatState } from '../../../client/index.ts';
import { ChatModel } from '../../../web/chat/chat-model.ts';
import type { Session } from '../../../web/shell/session.ts';
import { openConversation } from '../../../web/shell/session.ts';

/** A chat with one conversation, whose events the test tells. */
class FakeChat {
  readonly asked: string[] = [];
  readonly #heard = new Map<string, (what: never) => void>();
  state: ChatState = this.#stateWith(0);

  on = (name: string, listener: (what: never) => void): void => void this.#heard.set(name, listener);

  tell<Name extends keyof ChatEvents>(name: Name, what: ChatEvents[Name]): void {
    this.#heard.get(name)?.(what as never);
  }

  unread(count: number): void {
    this.tell('state', this.#stateWith(count));
  }

  history = (): Promise<readonly []> => this.#did('history', []);
  markRead = (): Promise<void> => this.#did('markRead', undefined);
  markUnread = (): Promise<void> => this.#did('markUnread', undefined);
  send = (): Promise<string> => this.#did('send', 'id');

  #did<T>(what: string, answer: T): Promise<T> {
    this.asked.push(what);
    return Promise.resolve(answer);
  }

  #stateWith(unread: number): ChatState {
    const conversation: ChatConversation = {
      ...{ id: 'c', unread, epoch: 1, state: 'joined', typing: [], requests: [], members: [] },
    };
    return { connection: 'offline', conversations: [conversation], unread };
  }
}

let chat: FakeChat;
let model: ChatModel;
beforeEach(async () => {
  chat = new FakeChat();
  model = new ChatModel({ chat } as unknown as Session);
  model.open('c');
  await expect.poll(() => model.messages.value).toEqual([]);
  chat.asked.length = 0;
});
afterEach(() => (openConversation.value = undefined));

test('a message that was given up elsewhere is gone: the messages are read again', () => {
  chat.tell('cancelled', { conversation: 'other', id: 'm' });
  expect(chat.asked).toEqual([]);
  chat.tell('cancelled', { conversation: 'c', id: 'm' });
  expect(chat.asked).toEqual(['history']);
});

test('what is marked as unread is not read because it can be seen, but when its conversation is chosen again', async () => {
  await model.markUnread('c', 'm');
  chat.unread(1);
  model.seen();
  expect(chat.asked).toEqual(['markUnread']);
  model.open('c');
  expect(chat.asked).toEqual(['markUnread', 'markRead']);
});

test('whoever writes has seen what is there', async () => {
  await model.markUnread('c', 'm');
  chat.unread(1);
  await model.send('c', 'text');
  expect(chat.asked.slice(0, 3)).toEqual(['markUnread', 'markRead', 'send']);
});

test('what was marked as unread and read on another device is over: what comes then is read here again', async () => {
  await model.markUnread('c', 'm');
  chat.unread(1);
  chat.unread(0);
  chat.unread(1);
  model.seen();
  expect(chat.asked).toEqual(['markUnread', 'markRead']);
});
