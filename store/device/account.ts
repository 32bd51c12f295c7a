import type pg from 'pg';
import { type Row, onlyRow, text, texts } from '../row.ts';

/**
 * Ids of conversations that a user is a member of now, in order.
 * @param after id after which the list starts; '' = from the first
 */
export async function listMemberships(pool: pg.Pool, user: string, after: string, limit: number): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-memberships',
    text: `select c.id from member m
      cross join lateral (select id, deleted_at from conversation where key = m.conversation limit 1) c
      where m.user_id = $1 and m.left_seq is null and c.deleted_at is null and c.id > $2 order by c.id limit $3`,
    values: [user, after, limit],
  });
  return rows.map((row) => text(row, 'id'));
}

/**
 * Forgets the devices of a user, and its key packages, claims, positions and Welcomes. Repeats until no device is left: a
 * device may come back during the first pass.
 * @returns ids of the forgotten devices
 */
export async function eraseUser(pool: pg.Pool, user: string): Promise<string[]> {
  const erased: string[] = [];
  for (;;) {
    const { rows } = await pool.query<Row>({
      name: 'erase-user',
      text: 'select erase_user($1) as devices',
      values: [user],
    });
    const devices = texts(onlyRow(rows, 'erase-user'), 'devices');
    if (devices.length === 0) return erased;
    erased.push(...devices);
  }
}
