import { expect, test } from 'vitest';
import { lockedAmong } from '../../../store/decision/locked.ts';
import { useDatabase } from '../../harness/database.ts';
import { startConversation } from '../../harness/requests.ts';

const database = useDatabase();

test.each(['for update', 'for no key update'])(
  'conversations whose row is held %s are told from others, and nobody waits',
  async (lock) => {
    const { pool } = database();
    const [held, free] = [await startConversation(pool), await startConversation(pool)];
    const all = [free, held, 'no-such', held];
    expect(await lockedAmong(pool, all)).toEqual(new Set());
    const holder = await pool.connect();
    try {
      await holder.query('begin');
      await holder.query(`select from conversation where id = $1 ${lock}`, [held]);
      expect(await lockedAmong(pool, all)).toEqual(new Set([held]));
    } finally {
      await holder.query('rollback').finally(() => holder.release());
    }
    expect(await lockedAmong(pool, all)).toEqual(new Set());
  },
);
