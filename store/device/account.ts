import type pg from 'pg';
import { type Row, onlyRow, texts } from '../row.ts';

/**
 * Forgets the devices of a user, and its key packages, claims, positions, Welcomes, consent and requests. Repeats until no device is left: a
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
