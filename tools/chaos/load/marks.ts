import { randomUUID } from 'node:crypto';
import type { Act } from './scene.ts';

/** Increments the unread count of the others, in a conversation that counts them. */
export const increment: Act = async ({ tries, people, below }, book, user) => {
  if (!book.isCounted) return;
  const id = randomUUID();
  const by = 1 + below(5);
  const answer = await tries.perform({
    sort: 'other',
    what: 'increment',
    conversation: book.conversation,
    run: async () => {
      await people.as(user).incrementUnread(book.conversation, by, id);
      return by;
    },
  });
  if (typeof answer === 'number') book.increments.set(user, (book.increments.get(user) ?? 0) + by);
};

/** Marks the newest entry that the clients know of as read, in a conversation without increments. */
export const markRead: Act = async ({ tries, people }, book, user) => {
  const seq = book.lastSeq;
  if (book.isCounted || seq === 0) return;
  const answer = await tries.perform({
    sort: 'other',
    what: 'read mark',
    conversation: book.conversation,
    run: () => people.as(user).markRead(book.conversation, seq),
  });
  if (typeof answer === 'number') book.readSeqs.set(user, Math.max(seq, book.readSeqs.get(user) ?? 0));
};
