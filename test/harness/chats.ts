import { onTestFinished } from 'vitest';
import type { Chat, ChatConversation, ChatEvents, ChatOptions } from '../../client/index.ts';
import { memoryStore, openChat } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import type { Service } from '../../tools/harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

/** A chat with what it told, and a network that can be cut. */
export interface TestChat extends Chat {
  readonly store: ReturnType<typeof memoryStore>;
  /** Each event by its name, in order. */
  readonly events: { readonly [K in keyof ChatEvents]: ChatEvents[K][] };
  /** Cuts its network, or repairs it. */
  readonly cut: (isCut: boolean) => void;
  /** States of a message, in the order in which they were told. */
  readonly statesOf: (id: string) => string[];
}

export interface OpenChatOptions extends Partial<ChatOptions> {
  /** Index of the API process. @default 0 */
  readonly via?: number;
  /** What an earlier process of the device left. @default an empty store */
  readonly store?: ReturnType<typeof memoryStore>;
  readonly isCut?: boolean;
}

/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9';

/** Opens chats of users of a running service. They are closed when the test ends. */
export function chatOpener(service: () => Service): (user: string, options?: OpenChatOptions) => Promise<TestChat> {
  return async (user, { via = 0, store = memoryStore(), isCut: isCutAtFirst = false, ...options } = {}) => {
    let isCut = isCutAtFirst;
    // As apps keep it: the service sees that it is older than the end of its device.
    let token: Promise<string> | undefined;
    const chat = await openChat({
      ...{ mls: tsMls, user, store, keyPackages: 3 },
      url: () => (isCut ? NOWHERE : (service().apis[via]?.url ?? NOWHERE)),
      token: () => (token ??= service().token(user)),
      ...options,
    });
    onTestFinished(() => chat.close());
    return Object.assign(chat, listenTo(chat), { store, cut: (value: boolean) => void (isCut = value) });
  };
}

/** Notes what a chat tells. */
export function listenTo(chat: Chat): Pick<TestChat, 'events' | 'statesOf'> {
  const events: TestChat['events'] = {
    ...{ state: [], message: [], cancelled: [], log: [], rejoined: [], ended: [], trouble: [] },
  };
  for (const name of Object.keys(events) as (keyof ChatEvents)[]) {
    chat.on(name, (what) => void (events[name] as unknown[]).push(what));
  }
  const statesOf = (id: string): string[] =>
    events.message.flatMap((message) => (message.id === id ? [message.state.kind] : []));
  return { events, statesOf };
}

/** The conversation, as the chat shows it now. */
export function shown(chat: Chat, conversation: string): ChatConversation | undefined {
  return chat.state.conversations.find(({ id }) => id === conversation);
}

/** Texts of a conversation, each with the state of its message unless it was seen. */
export async function texts(chat: Chat, conversation: string): Promise<string[]> {
  const isShown = shown(chat, conversation) !== undefined;
  const messages = isShown ? await chat.history(conversation, { limit: 1000 }) : [];
  return messages.map(({ text, state, isDeleted }) =>
    isDeleted ? '(deleted)' : state.kind === 'seen' ? text : `${text} (${state.kind})`,
  );
}

/** Waits until all chats show these texts. */
export async function untilTexts(chats: readonly Chat[], id: string, wanted: readonly string[]): Promise<void> {
  let last: unknown;
  const all = async (): Promise<boolean> => {
    const lists = await Promise.all(chats.map((chat) => texts(chat, id)));
    last = lists;
    return lists.every((list) => list.join('\n') === wanted.join('\n'));
  };
  await waitUntil(all, { what: `all show ${wanted.join(', ')}` }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(last)}`);
  });
}

/** Waits until a conversation of the chat is as wanted. */
export async function untilShown(
  chat: Chat,
  id: string,
  isWanted: (conversation: ChatConversation) => boolean,
  what: string,
): Promise<void> {
  await waitUntil(() => isWantedNow(shown(chat, id), isWanted), { what }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(shown(chat, id))}`);
  });
}

/** Types until another one sees it, as a person does: a signal is sent once, and a busy service drops it. */
export async function untilSeenTyping(typist: Chat, reader: Chat, id: string): Promise<void> {
  const isSeen = (): boolean => {
    typist.typing(id);
    return shown(reader, id)?.typing.join() === typist.user;
  };
  await waitUntil(isSeen, { what: `${reader.user} sees that ${typist.user} is typing` });
}

function isWantedNow(
  conversation: ChatConversation | undefined,
  isWanted: (conversation: ChatConversation) => boolean,
): boolean {
  return conversation !== undefined && isWanted(conversation);
}

/** Users of a conversation. */
export const usersOf = ({ members }: ChatConversation): string => members.map(({ user }) => user).join();
