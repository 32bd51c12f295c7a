import type pg from 'pg';
import { type Row, integer, object, onlyRow, orNull, text, time } from '../row.ts';

/** An action that operators can look up later. */
export interface AuditEntry {
  /** Id of the conversation; absent = not about one conversation. */
  readonly conversation?: string | undefined;
  /** User id of the person who acted. */
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A stored action. */
export interface StoredAuditEntry {
  /** Internal key; grows with time. */
  readonly key: number;
  readonly at: Date;
  readonly conversation: string | null;
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Stores an action of an operator. Reports and resets are stored by the deciding transaction. @returns the key of its row */
export async function writeAudit(pool: pg.Pool, { conversation, actor, action, details }: AuditEntry): Promise<number> {
  const { rows } = await pool.query<Row>({
    name: 'write-audit',
    text: 'insert into audit (conversation, actor, action, details) values ($1, $2, $3, $4) returning key',
    values: [conversation ?? null, actor, action, JSON.stringify(details)],
  });
  return integer(onlyRow(rows, 'write-audit'), 'key');
}

/**
 * Stored actions, the newest first.
 * @param conversation absent = of all conversations, and of none
 * @param before key before which the list starts
 */
export async function listAudit(
  pool: pg.Pool,
  {
    conversation,
    before = Number.MAX_SAFE_INTEGER,
    limit,
  }: {
    readonly conversation?: string | undefined;
    readonly before?: number | undefined;
    readonly limit: number;
  },
): Promise<StoredAuditEntry[]> {
  const columns = 'key, at, conversation, actor, action, details';
  const { rows } = await pool.query<Row>(
    conversation === undefined
      ? {
          name: 'list-audit',
          text: `select ${columns} from audit where key < $1 order by key desc limit $2`,
          values: [before, limit],
        }
      : {
          name: 'list-audit-of-conversation',
          text: `select ${columns} from audit where conversation = $3 and key < $1
            order by conversation desc, key desc limit $2`,
          values: [before, limit, conversation],
        },
  );
  return rows.map((row) => ({
    key: integer(row, 'key'),
    at: time(row, 'at'),
    conversation: orNull(text, row, 'conversation'),
    actor: text(row, 'actor'),
    action: text(row, 'action'),
    details: object(row, 'details'),
  }));
}
