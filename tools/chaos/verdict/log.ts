import type pg from 'pg';
import type { Attempt, Book } from '../load/ledger.ts';
import { ONCE } from '../load/messages.ts';

/** An entry as Postgres has it. */
export interface Row {
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly epoch: number;
  readonly sender: string;
  readonly ciphertext: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export async function readRows(pool: pg.Pool, conversation: string): Promise<Row[]> {
  const { rows } = await pool.query<Omit<Row, 'at' | 'ciphertext'> & { at: Date; ciphertext: Buffer }>(
    `select e.seq, e.kind, e.message_id as id, e.epoch, e.sender, e.ciphertext, e.at
     from entry e join conversation c on c.key = e.conversation where c.id = $1 order by e.seq`,
    [conversation],
  );
  return rows.map((row) => ({ ...row, at: row.at.getTime(), ciphertext: row.ciphertext.toString('base64') }));
}

/** The log against the answers: dense, one commit for each epoch, nothing lost, doubled, changed or reordered, nothing that was refused. */
export function judgeLog(book: Book, rows: readonly Row[]): string[] {
  const problems: string[] = [];
  const attempts = new Map(book.attempts.map((attempt) => [attempt.id, attempt]));
  const ids = new Set<string>();
  const lastOf = new Map<string, Attempt>();
  let epoch = 0;
  rows.forEach((row, i) => {
    if (row.seq !== i + 1) problems.push(`entry ${i + 1} has seq ${row.seq}`);
    if (ids.has(row.id)) problems.push(`${row.id} is stored twice`);
    ids.add(row.id);
    if (row.kind === 'commit' && row.epoch !== epoch++) problems.push(`commit ${row.seq} ends epoch ${row.epoch}`);
    const attempt = attempts.get(row.id);
    if (attempt === undefined) problems.push(`nobody sent entry ${row.seq}, ${row.id}`);
    else problems.push(...judgeEntry(row, attempt, lastOf));
  });
  for (const { id, kind, seq, epoch: acknowledged } of book.attempts) {
    if (seq === undefined) continue;
    const row = rows[seq - 1];
    if (row?.id !== id || row.epoch !== acknowledged) problems.push(`${kind} ${id}, acknowledged at ${seq}, is lost`);
  }
  return problems;
}

function judgeEntry(row: Row, attempt: Attempt, lastOf: Map<string, Attempt>): string[] {
  const problems: string[] = [];
  if (attempt.ciphertext !== row.ciphertext) problems.push(`entry ${row.seq} has other bytes`);
  if (attempt.user !== row.sender) problems.push(`entry ${row.seq} has another sender`);
  if (attempt.refused !== undefined) problems.push(`entry ${row.seq} was refused before: ${attempt.refused}`);
  const isLate = attempt.seq === undefined && attempt.notAfter !== undefined && row.at > attempt.notAfter;
  if (isLate) problems.push(`entry ${row.seq} was written after its deadline`);
  if (attempt.kind !== 'message' || attempt.user === ONCE) return problems;
  // A client has one operation at a time in a conversation, so the log must keep the order of its messages.
  if ((lastOf.get(attempt.user)?.order ?? -1) > attempt.order) problems.push(`entry ${row.seq} came too late`);
  lastOf.set(attempt.user, attempt);
  return problems;
}
