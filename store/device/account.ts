import type pg from 'pg';

/** Ids of conversations that a user is a member of now. @param after id to go on after; '' = from the start */
export async function listMemberships(pool: pg.Pool, user: string, after: string, limit: number): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'list-memberships',
    text: `select c.id from member m
      cross join lateral (select id, deleted_at from conversation where key = m.conversation limit 1) c
      where m.user_id = $1 and m.left_seq is null and c.deleted_at is null and c.id > $2 order by c.id limit $3`,
    values: [user, after, limit],
  });
  return rows.map(({ id }) => id);
}

/** Forgets devices, key packages, claims, positions and Welcomes of a user. @returns the devices that it had */
export async function eraseUser(pool: pg.Pool, user: string): Promise<string[]> {
  const erased: string[] = [];
  for (;;) {
    const { rows } = await pool.query<{ devices: string[] }>({
      name: 'erase-user',
      text: 'select erase_user($1) as devices',
      values: [user],
    });
    const devices = rows[0]?.devices ?? [];
    if (devices.length === 0) return erased;
    erased.push(...devices);
  }
}
