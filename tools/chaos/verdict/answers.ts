import { hasCode } from '../../../client/index.ts';
import type { Book } from '../load/ledger.ts';
import type { People } from '../load/people.ts';
import type { Row } from './log.ts';

/** How many acknowledged messages of a conversation are repeated. */
const REPEATED = 2;

/** Acknowledged means readable, and the same id gets the same answer for ever (invariant 3). */
export async function judgeAnswers(
  people: People,
  book: Book,
  rows: readonly Row[],
  reader: string,
): Promise<string[]> {
  const problems: string[] = [];
  const { conversation } = book;
  const seen: string[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const page = await people.patiently(reader).log(conversation, { after, limit: 1000 });
    seen.push(...page.entries.map(({ seq, id, ciphertext }) => `${seq} ${id} ${ciphertext}`));
    after = page.next;
  }
  const differs = rows.findIndex(({ seq, id, ciphertext }, i) => seen[i] !== `${seq} ${id} ${ciphertext}`);
  if (differs >= 0 || seen.length !== rows.length) {
    problems.push(`the pages have ${seen.length} entries, the table ${rows.length}; they differ at ${differs + 1}`);
  }

  const acknowledged = book.attempts.filter(({ kind, seq }) => kind === 'message' && seq !== undefined);
  for (const { id, user, ciphertext, seq } of acknowledged.filter(
    (_, i) => i % Math.ceil(acknowledged.length / REPEATED) === 0,
  )) {
    const repeat = () => people.patiently(user).send(conversation, { id, ciphertext });
    let again = await repeat();
    // A run that ends under the repeat makes the service ask again, and `accepted` is the success of its first try. Once more, and
    // nothing ends any more.
    if (again.seq === seq && again.status === 'accepted') again = await repeat();
    if (again.seq !== seq || again.status !== 'duplicate') {
      problems.push(`message ${id} at ${seq} was answered with ${again.status} at ${again.seq} when it was repeated`);
    }
    const other = await people
      .patiently(user)
      .send(conversation, { id, ciphertext: `${ciphertext.slice(0, -4)}AAAA` })
      .catch((error: unknown) => error);
    if (!hasCode(other, 'id-reused')) problems.push(`message ${id} was taken again with other bytes`);
  }
  return problems;
}
