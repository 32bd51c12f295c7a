import type pg from 'pg';

export interface MemberRow {
  readonly user: string;
  readonly role: 'admin' | 'member';
  readonly joinedSeq: number;
  readonly joinedEpoch: number;
}

/** Current members by user id. @param after user id to go on after; '' = from the start */
export async function listMembers(pool: pg.Pool, id: string, after: string, limit: number): Promise<MemberRow[]> {
  const { rows } = await pool.query<MemberRow>({
    name: 'list-members',
    text: `select m.user_id as user, m.role, m.joined_seq as "joinedSeq", m.joined_epoch as "joinedEpoch"
      from (select key from conversation where id = $1 and deleted_at is null limit 1) c
      join member m on m.conversation = c.key
      where m.user_id > $2 and m.left_seq is null order by m.user_id limit $3`,
    values: [id, after, limit],
  });
  return rows;
}

/** Users who left and whom no commit has removed yet. */
export async function listLeaving(pool: pg.Pool, id: string): Promise<string[]> {
  const { rows } = await pool.query<{ user: string }>({
    name: 'list-leaving',
    text: `select m.user_id as user from (select key from conversation where id = $1 and deleted_at is null limit 1) c
      join member m on m.conversation = c.key
      where m.leaving order by m.user_id`,
    values: [id],
  });
  return rows.map((row) => row.user);
}
