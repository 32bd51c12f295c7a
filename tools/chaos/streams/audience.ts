import { spend } from '../../harness/wait-until.ts';
import type { People } from '../load/people.ts';
import { type AccountReader, readAccount } from './account-reader.ts';
import { type ConversationReader, readConversation } from './conversation-reader.ts';

/** Everybody who reads live. */
export interface Audience {
  readonly conversations: readonly ConversationReader[];
  readonly accounts: readonly AccountReader[];
  /** A guest joined: its stream is followed until it is removed. */
  readonly follow: (conversation: string, guest: string) => void;
  readonly stop: () => void;
}

/** Streams of guests that are open at the same time. */
const MAX_GUESTS = 12;
/** Of a reader that stops reading now and then. */
const SLOW_MS = 3000;

export function startAudience(
  people: People,
  { conversations, users, streams }: { conversations: readonly string[]; users: readonly string[]; streams: number },
): Audience {
  const readers: ConversationReader[] = conversations
    .slice(0, streams)
    .flatMap((id, i) => [0, 1].map((n) => readConversation(people, id, users[(i + n) % users.length] ?? '')));
  const accounts = users.slice(0, 4).map((user, i) => readAccount(people, user, `device-${i}`));
  let isStopped = false;
  const [, slow] = accounts;
  const dawdle = async (): Promise<void> => {
    while (!isStopped) {
      slow?.pause();
      await spend(SLOW_MS);
      slow?.resume();
      await spend(SLOW_MS);
    }
  };
  void dawdle();
  return {
    conversations: readers,
    accounts,
    follow: (conversation, guest) => {
      const open = readers.filter((one) => one.user.startsWith('guest-') && one.removedSeq() === undefined);
      if (open.length < MAX_GUESTS) readers.push(readConversation(people, conversation, guest));
    },
    stop: () => {
      isStopped = true;
      for (const reader of [...readers, ...accounts]) reader.stop();
    },
  };
}
