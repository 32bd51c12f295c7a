import type pg from 'pg';
import { type Row, flag, oneOf, onlyRow, orNull } from '../row.ts';

/** What a user may know of a conversation, from its id and the user alone. */
export interface Standing {
  /** The user is or was a member. */
  readonly isKnown: boolean;
  /** The policy lets anyone join by an external commit. */
  readonly isOpen: boolean;
  /** The policy lets anyone ask to be added. */
  readonly takesRequests: boolean;
  /** null = there is no such conversation. */
  readonly protocol: 'mls' | 'opaque' | null;
}

/**
 * Looks up a user's standing. It does the same work for a conversation that exists and for one that does not: two look-ups by
 * key and one row. So its time tells an outsider nothing.
 */
export async function readStanding(pool: pg.Pool, conversation: string, user: string): Promise<Standing> {
  const { rows } = await pool.query<Row>({
    name: 'read-standing',
    // No conversation has the key 0.
    text: `select c.protocol, coalesce(c.open, false) as open, coalesce(c.asks, false) as asks, m.user_id is not null as known
      from (values (1)) one
      left join lateral (
        select key, protocol, policy ->> 'externalJoin' = 'anyone' as open,
          policy ->> 'externalJoin' in ('anyone', 'request') as asks
        from conversation
        where id = $1 and deleted_at is null limit 1) c on true
      left join lateral (
        select user_id from member where conversation = coalesce(c.key, 0) and user_id = $2 limit 1) m on true`,
    values: [conversation, user],
  });
  const row = onlyRow(rows, 'read-standing');
  return {
    isKnown: flag(row, 'known'),
    isOpen: flag(row, 'open'),
    takesRequests: flag(row, 'asks'),
    protocol: orNull((from, name) => oneOf(from, name, ['mls', 'opaque']), row, 'protocol'),
  };
}
