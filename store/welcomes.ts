import type pg from 'pg';

export interface WelcomeRow {
  readonly id: string;
  readonly conversation: string;
  readonly welcome: Buffer;
  /** Of the joining commit. */
  readonly seq: number;
  readonly epoch: number;
}

/** Welcomes waiting for a user, by seq; each was stored in the transaction that accepted its commit. */
export async function listWelcomes(pool: pg.Pool, user: string): Promise<WelcomeRow[]> {
  const { rows } = await pool.query<WelcomeRow>({
    name: 'list-welcomes',
    text: `select w.id, c.id as conversation, w.welcome, w.seq, w.epoch
      from welcome w cross join lateral (select id, deleted_at from conversation where key = w.conversation limit 1) c
      where w.user_id = $1 and c.deleted_at is null order by w.seq, w.id limit 1000`,
    values: [user],
  });
  return rows;
}

/** Forgets a Welcome that its user has taken up; false when there is none. */
export async function acknowledgeWelcome(pool: pg.Pool, user: string, id: string): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'acknowledge-welcome',
    text: 'delete from welcome where id = $1 and user_id = $2',
    values: [id, user],
  });
  return rowCount === 1;
}
