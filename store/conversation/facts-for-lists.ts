import type pg from 'pg';
import type { AttributedFacts } from '../../domain/search-attributes.ts';
import { type Row, integer, oneOf } from '../row.ts';

/**
 * What the lists of the Web UI show of a conversation. Without its lock, so it may be out of date at once.
 * @returns `undefined` = there is no such conversation
 */
export async function factsForLists(pool: pg.Pool, conversation: string): Promise<AttributedFacts | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'facts-for-lists',
    text: 'select protocol, member_count as "memberCount" from conversation where id = $1 and deleted_at is null',
    values: [conversation],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return { protocol: oneOf(row, 'protocol', ['mls', 'opaque']), memberCount: integer(row, 'memberCount') };
}
