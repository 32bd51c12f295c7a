import { Counter, Gauge, type Registry } from 'prom-client';
import type { DatabaseLook } from '../domain/database-look.ts';

interface Shape {
  readonly help: string;
  /** A number, or numbers by the value of the label. */
  readonly of: (look: DatabaseLook) => number | ReadonlyMap<string, number>;
  readonly label?: string;
  /** True: the server counts it, and it only grows. @default false */
  readonly isCounter?: boolean;
}

const seconds = (ms: number): number => ms / 1000;

/** What PostgreSQL says of itself and of the work that is due. Every process reports the same numbers: rules take the largest. */
const SHAPES: Readonly<Record<`parley_${string}`, Shape>> = {
  parley_database_connections: {
    help: 'Client connections of the PostgreSQL server',
    label: 'state',
    of: (look) => look.connections,
  },
  parley_database_connections_limit: {
    help: 'Client connections that the PostgreSQL server allows',
    of: (look) => look.connectionsLimit,
  },
  parley_database_oldest_transaction_seconds: {
    help: 'Age of the oldest open transaction of a client',
    of: (look) => seconds(look.oldestTransactionMs),
  },
  parley_database_lock_waits: { help: 'Sessions that wait for a lock', of: (look) => look.lockWaits },
  parley_database_replication_lag_seconds: {
    help: 'Time by which the slowest replica is behind; 0 without replicas',
    of: (look) => seconds(look.replicationLagMs),
  },
  parley_database_size_bytes: { help: 'Size of the database on disk', of: (look) => look.databaseBytes },
  parley_database_live_rows: {
    help: 'Live rows, as the server estimates them',
    label: 'table',
    of: (look) => look.liveRows,
  },
  parley_database_dead_rows: { help: 'Rows that vacuum has to remove', label: 'table', of: (look) => look.deadRows },
  parley_database_xid_age: {
    help: 'Transactions since the oldest one that is not frozen',
    of: (look) => look.xidAge,
  },
  parley_database_transactions_total: {
    help: 'Transactions of the database',
    label: 'outcome',
    isCounter: true,
    of: ({ commits, rollbacks }) =>
      new Map([
        ['commit', commits],
        ['rollback', rollbacks],
      ]),
  },
  parley_database_blocks_total: {
    help: 'Blocks that were read, by where they were found',
    label: 'source',
    isCounter: true,
    of: ({ blocksFromCache, blocksFromDisk }) =>
      new Map([
        ['cache', blocksFromCache],
        ['disk', blocksFromDisk],
      ]),
  },
  parley_database_deadlocks_total: {
    help: 'Deadlocks that the server ended',
    isCounter: true,
    of: (look) => look.deadlocks,
  },
  parley_database_wal_bytes_total: {
    help: 'Bytes that the server wrote to its log',
    isCounter: true,
    of: (look) => look.walBytes,
  },
  parley_epoch_guard: {
    help: '1 while the index is there and valid that allows one commit per epoch',
    of: (look) => Number(look.hasEpochGuard),
  },
  parley_overdue_conversations: {
    help: 'Conversations whose due time is past; counted up to 1000',
    of: (look) => look.overdue,
  },
  parley_overdue_seconds: {
    help: 'Age of the oldest due time that is past',
    of: (look) => seconds(look.overdueMs),
  },
  parley_pending_increments: {
    help: 'Increments that were answered and are not counted yet; counted up to 10,000',
    of: (look) => look.pendingIncrements,
  },
  parley_pending_increments_oldest_seconds: {
    help: 'Age of the oldest increment that is not counted yet',
    of: (look) => seconds(look.pendingIncrementsMs),
  },
};

/**
 * Adds the metrics of the database.
 * @param read looks at the database; `undefined` = it does not answer. Then there are no samples, so that nobody takes old
 * numbers for new ones. It is asked once for each metric, so it shares its looks
 */
export function addDatabaseMetrics(registry: Registry, read: () => Promise<DatabaseLook | undefined>): void {
  for (const [name, { help, of, label, isCounter = false }] of Object.entries(SHAPES)) {
    const collect = async (): Promise<void> => {
      const look = await read();
      metric.reset();
      // Without a label, a reset leaves a 0.
      if (label === undefined) metric.remove();
      if (look === undefined) return;
      const sample = of(look);
      if (typeof sample === 'number') metric.inc(sample);
      else for (const [value, count] of sample) metric.inc({ [label ?? '']: value }, count);
    };
    const options = { name, help, labelNames: label === undefined ? [] : [label], registers: [registry], collect };
    const metric: Pick<Gauge, 'reset' | 'remove' | 'inc'> = isCounter ? new Counter(options) : new Gauge(options);
  }
}
