import type pg from 'pg';
import { type Row, integer, orNull, text } from '../row.ts';

/** A session of the database that holds the row of a conversation. */
export interface Blocker {
  readonly pid: number;
  /** `application_name` of the session. */
  readonly application: string;
  /** For example `idle in transaction`; null = this role may not see it. */
  readonly state: string | null;
  /** Age of its transaction in milliseconds; null = this role may not see it. */
  readonly transactionMs: number | null;
}

/** For so long a statement waits for the row, so that the server knows for whom it waits. */
const WAIT_MS = 400;
const ASK_EVERY_MS = 20;

/**
 * Who holds the row of a conversation. Only a session that waits can be asked for whom it waits (`pg_blocking_pids`), so one
 * of ours waits for some tenths of a second. It gives back at once what it gets. Nothing about the blocker's statement is read:
 * an operator may have typed values into it.
 * @returns the sessions that hold it, in no order; empty = nobody does
 */
export async function blockersOf(pool: pg.Pool, conversation: string): Promise<Blocker[]> {
  const waiter = await pool.connect();
  let isBroken = true;
  try {
    await waiter.query('begin');
    await waiter.query(`set local lock_timeout = '${WAIT_MS}ms'`);
    const pid = integer((await waiter.query<Row>('select pg_backend_pid() as pid')).rows[0] ?? {}, 'pid');
    const now = { isWaiting: true };
    const wait = waitForRow(waiter, conversation).finally(() => (now.isWaiting = false));
    let found: Blocker[] = [];
    while (now.isWaiting && found.length === 0) {
      found = await blocking(pool, pid);
      if (found.length === 0) await Promise.race([wait, pause(ASK_EVERY_MS)]);
    }
    // What it waits for is known.
    if (now.isWaiting) await pool.query('select pg_cancel_backend($1)', [pid]);
    await wait;
    await waiter.query('rollback');
    isBroken = false;
    return found;
  } finally {
    waiter.release(isBroken);
  }
}

/** Never rejects: that it gets no lock is the expected end. */
async function waitForRow(client: pg.PoolClient, conversation: string): Promise<void> {
  const text = 'select from conversation where id = $1 for no key update';
  await client.query({ name: 'wait-for-row', text, values: [conversation] }).catch(() => undefined);
}

async function blocking(pool: pg.Pool, pid: number): Promise<Blocker[]> {
  const { rows } = await pool.query<Row>({
    name: 'blocking-sessions',
    text: `select distinct a.pid, a.application_name as application, a.state,
        (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint as "transactionMs"
      from unnest(pg_blocking_pids($1)) b (pid) join pg_stat_activity a on a.pid = b.pid`,
    values: [pid],
  });
  return rows.map((row) => ({
    pid: integer(row, 'pid'),
    application: text(row, 'application'),
    state: orNull(text, row, 'state'),
    transactionMs: orNull(integer, row, 'transactionMs'),
  }));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
