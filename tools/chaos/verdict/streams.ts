import { waitUntil } from '../../harness/wait-until.ts';
import type { Ledger } from '../load/ledger.ts';
import type { Audience } from '../streams/audience.ts';
import type { Sequence } from '../streams/sequence.ts';
import type { Row } from './log.ts';

const DELIVERED_MS = 60_000;

/** Every stream has brought every entry that its user may read, in order, and those of removed users have ended (invariants 5 and 8). */
export async function judgeStreams(
  audience: Audience,
  ledger: Ledger,
  logs: ReadonlyMap<string, readonly Row[]>,
): Promise<string[]> {
  const problems: string[] = [];
  const expectWhole = async (
    who: string,
    id: string,
    sequence: Sequence | undefined,
    from: number,
    to: number,
  ): Promise<void> => {
    await waitUntil(() => (sequence?.last() ?? 0) >= to, {
      what: 'delivered',
      timeoutMs: problems.length === 0 ? DELIVERED_MS : 0,
    }).catch(() => undefined);
    const entries = logs.get(id)?.slice(from - 1, to) ?? [];
    const wrong = entries.find((row) => sequence?.entries.get(row.seq) !== `${row.id} ${row.ciphertext}`);
    if (wrong !== undefined) problems.push(`the ${who} never brought entry ${wrong.seq} of ${id}`);
    if ((sequence?.entries.size ?? 0) > entries.length)
      problems.push(`the ${who} brought more of ${id} than its user may read`);
  };
  for (const { user, conversation, sequence, problems: own, removedSeq } of audience.conversations) {
    problems.push(...own);
    const guest = ledger.books.get(conversation)?.guests.find((one) => one.user === user);
    const end = guest?.removedSeq ?? logs.get(conversation)?.length ?? 0;
    await expectWhole(`stream of ${user}`, conversation, sequence, guest?.joinedSeq ?? 1, end);
    if (guest?.removedSeq === undefined) continue;
    await waitUntil(() => removedSeq() !== undefined, { what: 'the stream ended', timeoutMs: DELIVERED_MS }).catch(
      () => undefined,
    );
    if (removedSeq() !== guest.removedSeq)
      problems.push(`the stream of ${user} did not end with its removal at ${guest.removedSeq}`);
  }
  for (const { user, sequences, problems: own } of audience.accounts) {
    problems.push(...own);
    for (const [id, rows] of logs)
      await expectWhole(`account stream of ${user}`, id, sequences.get(id), 1, rows.length);
  }
  return problems;
}
