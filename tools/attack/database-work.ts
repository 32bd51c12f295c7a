import { readFileSync } from 'node:fs';
import type pg from 'pg';

/** Sessions report what they did about once in a second. */
const REPORT_MS = 1500;

/** Transactions of all sessions so far, as Postgres counts them. A session that became idle at once may be missing. */
export async function transactions(pool: pg.Pool): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, REPORT_MS));
  const { rows } = await pool.query<{ count: string }>(
    'select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()',
  );
  return Number(rows[0]?.count ?? 0);
}

/**
 * Bytes that a process has read so far, from sockets and files (`rchar` of proc(5)). What a request loads from the database
 * stands here, whatever the statement. 0 where there is no /proc.
 */
export function bytesRead(pid: number): number {
  try {
    return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
