import pg from 'pg';
import { postgresStopped } from '../../chaos/faults/stops.ts';
import type { Drill, DrillStage } from './drill.ts';

/** Sessions to leave free, so that the service still gets some. */
const FREE_SESSIONS = 20;

async function session({ arena }: DrillStage): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: arena.databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

const postgresSilent: Drill = {
  name: 'postgres-silent',
  does: 'PostgreSQL is stopped: it keeps its connections and answers nothing',
  alerts: ['ParleyActorMailboxBacklog', 'ParleyOperationsEndWithoutDecision', 'ParleyWriteErrorBudgetFast'],
  isShort: true,
  inject: async (stage) => (await postgresStopped.inject(stage)).heal,
};

const sessions: Drill = {
  name: 'sessions',
  does: 'operators forgot sessions: many that are idle, one with an old transaction, one that holds the rows of all conversations',
  alerts: [
    'ParleyPostgresConnections',
    'ParleyPostgresOldTransaction',
    'ParleyPostgresLockWaits',
    'ParleyIncrementsNotCounted',
  ],
  isShort: true,
  inject: async (stage) => {
    const { arena, conversations, people } = stage;
    const holder = await session(stage);
    await holder.query(`set idle_in_transaction_session_timeout = 0`);
    await holder.query('begin');
    await holder.query('select from parley.conversation where id = any ($1) order by key for update', [conversations]);
    const { rows } = await arena.pool.query<{ free: number }>(
      `select current_setting('max_connections')::int - count(*)::int as free from pg_stat_activity where backend_type = 'client backend'`,
    );
    const many = Math.max(0, (rows[0]?.free ?? 0) - FREE_SESSIONS);
    const idle = await Promise.all(Array.from({ length: many }, () => session(stage)));
    await Promise.all(conversations.map((id) => people.patiently('user-0').incrementUnread(id)));
    return async () => {
      await holder.query('rollback');
      await Promise.all([holder, ...idle].map((one) => one.end()));
    };
  },
};

const epochGuard: Drill = {
  name: 'epoch-guard',
  does: 'somebody drops the index that allows one commit per epoch',
  alerts: ['ParleyEpochConflictDetected'],
  isShort: true,
  inject: async ({ arena: { pool } }) => {
    const { rows } = await pool.query<{ text: string }>(
      `select pg_get_indexdef('parley.entry_commit_epoch'::regclass) as text`,
    );
    await pool.query('drop index parley.entry_commit_epoch');
    return async () => {
      await pool.query(rows[0]?.text ?? '');
    };
  },
};

export const POSTGRES_DRILLS: readonly Drill[] = [postgresSilent, sessions, epochGuard];
