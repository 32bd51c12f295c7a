import type pg from 'pg';
import { type Row, integer, text } from '../row.ts';

/** How far a conversation has come. */
export interface LogEnd {
  readonly epoch: number;
  readonly lastSeq: number;
}

/** How far these conversations have come in Postgres, by their ids. Those that do not exist are missing. */
export async function logEndsOf(pool: pg.Pool, conversations: readonly string[]): Promise<Map<string, LogEnd>> {
  if (conversations.length === 0) return new Map();
  const { rows } = await pool.query<Row>({
    name: 'log-ends-of',
    text: `select c.id, c.epoch, c.last_seq as "lastSeq" from unnest($1::text[]) i (id)
      cross join lateral (select id, epoch, last_seq from conversation where id = i.id limit 1) c`,
    values: [conversations],
  });
  return new Map(
    rows.map((row) => [text(row, 'id'), { epoch: integer(row, 'epoch'), lastSeq: integer(row, 'lastSeq') }]),
  );
}
