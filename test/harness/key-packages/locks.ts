import type pg from 'pg';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

/** Waits until so many connections to the database of a test wait for a lock. */
export async function lockWaiters(pool: pg.Pool, count: number): Promise<void> {
  const waiting = async (): Promise<number> => {
    const { rowCount } = await pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rowCount ?? 0;
  };
  await waitUntil(async () => (await waiting()) === count, { what: `${count} connections wait for a lock` });
}
