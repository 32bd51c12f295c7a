import type pg from 'pg';

/** Makes a conversation one that is older than the chain over the log. */
export async function forgetChain(pool: pg.Pool, conversation: string): Promise<void> {
  await pool.query('update entry set chain = null where conversation = (select key from conversation where id = $1)', [
    conversation,
  ]);
  await pool.query(
    'update conversation set chain = null, chain_base = null, base_epoch = null, oldest_chain = null where id = $1',
    [conversation],
  );
}
