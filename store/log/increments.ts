import type pg from 'pg';
import type { IncrementCommand } from '../../domain/command.ts';
import { PENDING_INCREMENTS_PER_USER } from '../../domain/limits.ts';
import { type Outcome, outcomeFor } from '../../domain/outcome.ts';
import type { StoredIncrement } from '../../domain/staged-command.ts';
import { decide } from '../decision/decide.ts';
import { type Row, integer, text } from '../row.ts';

/** Increments of a conversation that one transaction counts. It holds the conversation's lock. */
const COUNTED_AT_ONCE = 500;

/** An increment after it was stored, or the reason why it was not. */
export interface IncrementReceipt {
  readonly outcome: Outcome<'increment'>;
  /** Absent when it was refused, or counted before. */
  readonly stored?: StoredIncrement;
}

/**
 * Stores an increment. It is durable when this returns, and its checks are done: whatever happens to its user, it will be
 * counted. The same increment again has the same key, as long as it is not counted.
 */
export async function storeIncrement(
  pool: pg.Pool,
  conversation: string,
  { kind, id, actor, by }: IncrementCommand,
): Promise<IncrementReceipt> {
  const { rows } = await pool.query<{ answer: unknown }>({
    name: 'store-increment',
    text: 'select store_increment($1, $2, $3) as answer',
    values: [conversation, JSON.stringify({ kind, id, actor, by }), PENDING_INCREMENTS_PER_USER],
  });
  const { stored, outcome: answered } = (rows[0]?.answer ?? {}) as Row;
  const outcome = outcomeFor({ kind }, answered);
  return typeof stored === 'number' ? { outcome, stored: { kind, id, stored } } : { outcome };
}

/** Counts all stored increments of a conversation, in the order in which they were stored. */
export async function countIncrements(pool: pg.Pool, conversation: string): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<Row>({
      name: 'list-increments',
      text: `select p.id, p.key from pending_increment p join conversation c on c.key = p.conversation
        where c.id = $1 and c.deleted_at is null order by p.at, p.key limit $2`,
      values: [conversation, COUNTED_AT_ONCE],
    });
    const increments = rows.map((row): StoredIncrement => {
      return { kind: 'increment', id: text(row, 'id'), stored: integer(row, 'key') };
    });
    if (increments.length > 0) await decide(pool, conversation, increments);
    if (increments.length < COUNTED_AT_ONCE) return;
  }
}

/** Ids of conversations with increments that have waited for longer than this, those of the oldest first. */
export async function listUncounted(pool: pg.Pool, forMs: number, limit: number): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-uncounted',
    text: `select c.id from conversation c join (
        select conversation, min(at) as at from (
          select conversation, at from pending_increment where at < now() - make_interval(secs => $1::float8 / 1000)
          order by at limit $2) oldest
        group by conversation) waiting on waiting.conversation = c.key
      where c.deleted_at is null order by waiting.at`,
    values: [forMs, limit],
  });
  return rows.map((row) => text(row, 'id'));
}
