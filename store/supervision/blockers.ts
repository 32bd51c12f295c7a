import type pg from 'pg';
import { type Row, integer, onlyRow } from '../row.ts';
import { type RowLock, listRowLocks } from '../conversation/row-locks.ts';

/** For so long a statement waits for the row, so that the server knows for whom it waits. */
const WAIT_MS = 400;
const ASK_EVERY_MS = 20;

/**
 * Who holds the row of a conversation. The row names its holder. Where several share it, it names none, and the server names the
 * one that a session waits for (`pg_blocking_pids`): so one of ours waits for some tenths of a second then. It gives back at once
 * what it gets. Nothing about the blocker's statement is read: an operator may have typed values into it.
 * @returns the sessions that hold it, of several that share it at least one; empty = nobody does
 */
export async function blockersOf(pool: pg.Pool, conversation: string): Promise<RowLock[]> {
  const named = await holders(pool, conversation);
  return named.length > 0 ? named : sharers(pool, conversation);
}

async function sharers(pool: pg.Pool, conversation: string): Promise<RowLock[]> {
  const waiter = await pool.connect();
  let isBroken = true;
  try {
    await waiter.query('begin');
    await waiter.query(`set local lock_timeout = '${WAIT_MS}ms'`);
    const own = integer(onlyRow((await waiter.query<Row>('select pg_backend_pid() as pid')).rows, 'session'), 'pid');
    const now = { isWaiting: true };
    const wait = waitForRow(waiter, conversation).finally(() => (now.isWaiting = false));
    let found: RowLock[] = [];
    while (now.isWaiting && found.length === 0) {
      await Promise.race([wait, pause(ASK_EVERY_MS)]);
      found = (await holders(pool, conversation)).filter(({ pid }) => pid !== own);
    }
    await wait;
    await waiter.query('rollback');
    isBroken = false;
    return found;
  } finally {
    waiter.release(isBroken);
  }
}

async function holders(pool: pg.Pool, conversation: string): Promise<RowLock[]> {
  return (await listRowLocks(pool, conversation)).filter(({ holds }) => holds);
}

/** Never rejects: that it gets no lock is the expected end. */
async function waitForRow(client: pg.PoolClient, conversation: string): Promise<void> {
  const text = 'select from conversation where id = $1 for no key update';
  await client.query({ name: 'wait-for-row', text, values: [conversation] }).catch(() => undefined);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
