import type pg from 'pg';
import { type Row, flag, integer, onlyRow } from '../row.ts';

/** What waits for a user, for operators. */
export interface UserOverview {
  /** Welcomes that its devices have not acknowledged; counted up to `MAX_COUNTED`. */
  readonly welcomes: number;
  /** Its data is being erased. */
  readonly erasing: boolean;
}

const MAX_COUNTED = 1000;

export async function overviewUser(pool: pg.Pool, user: string): Promise<UserOverview> {
  const { rows } = await pool.query<Row>({
    name: 'overview-user',
    text: `select (select count(*)::int from (select from welcome where user_id = $1 limit $2) w) as welcomes,
      exists (select from erasure where user_id = $1 limit 1) as erasing`,
    values: [user, MAX_COUNTED],
  });
  const row = onlyRow(rows, 'overview-user');
  return { welcomes: integer(row, 'welcomes'), erasing: flag(row, 'erasing') };
}
