import type pg from 'pg';
import { type Row, integer, onlyRow } from '../row.ts';
import { type RowLock, listRowLocks } from '../conversation/row-locks.ts';

/** For so long a statement waits for the row, so that the server knows for whom it waits. */
const WAIT_MS = 400;
/** For so long it waits once more when a busy server looked only after the wait had ended. */
const LONG_WAIT_MS = 2000;
const ASK_EVERY_MS = 20;

/**
 * Who holds the row of a conversation. The row names its holder. Where several share it, it names none, and the server names the
 * one that a session waits for (`pg_blocking_pids`): so one of ours waits for a moment then. It gives back at once what it gets.
 * Nothing about the blocker's statement is read: an operator may have typed values into it.
 * @returns the sessions that hold it, of several that share it at least one; empty = nobody does
 */
export async function blockersOf(pool: pg.Pool, conversation: string): Promise<RowLock[]> {
  const named = await holders(pool, conversation);
  if (named.length > 0) return named;
  const first = await sharers(pool, conversation, WAIT_MS);
  if (first.found.length > 0 || first.isFree) return first.found;
  return (await sharers(pool, conversation, LONG_WAIT_MS)).found;
}

/** @returns `isFree`: the row could be had, so that nobody holds it */
async function sharers(
  pool: pg.Pool,
  conversation: string,
  waitMs: number,
): Promise<{ readonly found: RowLock[]; readonly isFree: boolean }> {
  const waiter = await pool.connect();
  let isBroken = true;
  try {
    await waiter.query('begin');
    await waiter.query(`set local lock_timeout = '${waitMs}ms'`);
    const own = integer(onlyRow((await waiter.query<Row>('select pg_backend_pid() as pid')).rows, 'session'), 'pid');
    const now = { isWaiting: true };
    const wait = waitForRow(waiter, conversation).finally(() => (now.isWaiting = false));
    let found: RowLock[] = [];
    while (now.isWaiting && found.length === 0) {
      await Promise.race([wait, pause(ASK_EVERY_MS)]);
      found = (await holders(pool, conversation)).filter(({ pid }) => pid !== own);
    }
    const isFree = await wait;
    await waiter.query('rollback');
    isBroken = false;
    return { found, isFree };
  } finally {
    waiter.release(isBroken);
  }
}

async function holders(pool: pg.Pool, conversation: string): Promise<RowLock[]> {
  return (await listRowLocks(pool, conversation)).filter(({ holds }) => holds);
}

/** Never rejects: that it gets no lock is the expected end. @returns whether it got the lock */
async function waitForRow(client: pg.PoolClient, conversation: string): Promise<boolean> {
  const text = 'select from conversation where id = $1 for no key update';
  return client.query({ name: 'wait-for-row', text, values: [conversation] }).then(
    () => true,
    () => false,
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
