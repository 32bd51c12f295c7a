import { waitUntil } from '../../harness/wait-until.ts';
import type { Book } from '../load/ledger.ts';
import type { People } from '../load/people.ts';
import type { Row } from './log.ts';

/** Increments that were answered 202 may not be applied yet. */
const APPLIED_MS = 30_000;

/** The unread counts of every member, counted again from the log (invariant 7). */
export async function judgeUnread(people: People, book: Book, rows: readonly Row[]): Promise<string[]> {
  const problems: string[] = [];
  const messages = rows.filter(({ kind }) => kind === 'application');
  const expectedOf = (user: string, joinedSeq: number): number => {
    // Sending counts as having read.
    const own = messages.findLast(({ sender }) => sender === user)?.seq ?? 0;
    const from = Math.max(joinedSeq, own, book.readSeqs.get(user) ?? 0);
    const increments = [...book.increments].reduce((sum, [actor, by]) => (actor === user ? sum : sum + by), 0);
    return messages.filter(({ seq }) => seq > from).length + increments;
  };
  const guests = book.guests.filter(({ removedSeq }) => removedSeq === undefined);
  const members = [
    ...book.residents.map((user) => ({ user, joinedSeq: 0 })),
    // Which increments came before a guest is not known.
    ...(book.isCounted ? [] : guests),
  ];
  for (const { user, joinedSeq } of members) {
    const expected = expectedOf(user, joinedSeq);
    let unread = -1;
    await waitUntil(
      async () => (unread = (await people.patiently(user).conversation(book.conversation)).unread) === expected,
      {
        what: `${user} has ${expected} unread`,
        timeoutMs: problems.length === 0 ? APPLIED_MS : 0,
      },
    ).catch(() => undefined);
    if (unread !== expected) problems.push(`${user} has ${unread} unread, and not ${expected}`);
  }
  return problems;
}
