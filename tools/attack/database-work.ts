import type pg from 'pg';

/** Work of the whole database so far. Postgres reports it when a transaction has ended and some time has passed. */
async function databaseWork(pool: pg.Pool): Promise<{ readonly blocks: number; readonly transactions: number }> {
  // A session reports its numbers at most once in a second unless it is told to.
  const client = await pool.connect();
  try {
    await client.query('select pg_stat_force_next_flush()');
    await client.query('select pg_stat_clear_snapshot()');
    const { rows } = await client.query<{ blocks: string; transactions: string }>(
      `select blks_read + blks_hit as blocks, xact_commit + xact_rollback as transactions
       from pg_stat_database where datname = current_database()`,
    );
    return { blocks: Number(rows[0]?.blocks ?? 0), transactions: Number(rows[0]?.transactions ?? 0) };
  } finally {
    client.release();
  }
}

/** Time in which idle sessions report what they did (PGSTAT_MIN_INTERVAL is 1 s, PGSTAT_IDLE_INTERVAL 10 s). */
const REPORT_MS = 1500;

/** Blocks that all sessions have read so far, from the disk or from the cache. */
export async function blocksRead(pool: pg.Pool): Promise<number> {
  await reported();
  return (await databaseWork(pool)).blocks;
}

/** Transactions of all sessions so far. */
export async function transactions(pool: pg.Pool): Promise<number> {
  await reported();
  return (await databaseWork(pool)).transactions;
}

function reported(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, REPORT_MS));
}
