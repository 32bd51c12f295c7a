import { hash, timingSafeEqual } from 'node:crypto';
import type pg from 'pg';
import type { EntryKind } from '../../domain/log-entry.ts';
import { type Refused, parseOutcome } from '../../domain/outcome.ts';
import { deciderOf } from '../decision/decide.ts';
import { type Row, flag, integer, oneOf, onlyRow, text } from '../row.ts';

/** For so long a deletion waits for its turn at the lock of the conversation. */
const PATIENCE_MS = 3000;

/** What is left of an entry whose body was deleted. */
export interface DeletedEntry {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly epoch: number;
  /** Of the bytes that are gone, lower-case hex. */
  readonly sha256: string;
  /** Base64. Absent: the entry is older than the chain. */
  readonly chain?: string;
  /** Last entry of the log. */
  readonly lastSeq: number;
  /** False: it was deleted before. */
  readonly isNew: boolean;
}

/** Whose body a user deletes, and by which right. */
export interface BodyDeletion {
  readonly conversation: string;
  readonly user: string;
  readonly seq: number;
  /** The secret whose hash came with the message. Absent = the user deletes as an admin. */
  readonly secret?: Uint8Array | undefined;
}

/**
 * Deletes the body of a message (`delete-body.sql`). Whether the user may is judged before the lock is asked for, and again under it.
 * @returns what is left of the entry, or the refusal
 * @throws ConversationLockedError, or an error of the database (`lock_not_available`), when a session holds the conversation's row
 */
export async function deleteBody(pool: pg.Pool, deletion: BodyDeletion): Promise<DeletedEntry | Refused> {
  const { conversation, user, seq, secret } = deletion;
  const shown = secret === undefined ? null : hash('sha256', secret, 'buffer');
  const refused = await judge(pool, deletion, shown);
  if (refused !== undefined) return refused;
  return deciderOf(pool).waitForLock(PATIENCE_MS, async () => {
    const { rows } = await pool.query<Row>({
      name: 'delete-body',
      text: 'select delete_body($1, $2, $3, $4) as answer',
      values: [conversation, user, seq, shown],
    });
    const { answer } = onlyRow(rows, 'delete-body');
    return asRefusal(answer as Row) ?? parseDeleted(answer as Row);
  });
}

async function judge(
  pool: pg.Pool,
  { conversation, user, seq }: BodyDeletion,
  shown: Buffer | null,
): Promise<Refused | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'judge-body-deletion',
    text: 'select judge_body_deletion($1, $2, $3) as answer',
    values: [conversation, user, seq],
  });
  const answer = onlyRow(rows, 'judge-body-deletion').answer as Row;
  const refused = asRefusal(answer);
  if (refused !== undefined) return refused;
  if (shown === null) return 'refusal' in answer ? asRefusal(answer.refusal as Row) : undefined;
  const expected = 'hash' in answer ? Buffer.from(text(answer, 'hash'), 'hex') : undefined;
  // In constant time, although a hash would tell nobody the secret.
  const isProven = expected?.length === shown.length && timingSafeEqual(expected, shown);
  return isProven
    ? undefined
    : { status: 'refused', code: 'not-allowed', detail: 'This is not the secret of the message' };
}

function asRefusal(answer: Row): Refused | undefined {
  if (answer.status !== 'refused') return undefined;
  const outcome = parseOutcome('delete', answer);
  return outcome.status === 'refused' ? outcome : undefined;
}

function parseDeleted(row: Row): DeletedEntry {
  return {
    seq: integer(row, 'seq'),
    kind: oneOf(row, 'kind', ['application']),
    epoch: integer(row, 'epoch'),
    sha256: text(row, 'sha256'),
    ...('chain' in row ? { chain: text(row, 'chain') } : {}),
    lastSeq: integer(row, 'lastSeq'),
    isNew: flag(row, 'changed'),
  };
}
