import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { DatabaseLook } from '../../../domain/database-look.ts';
import { addDatabaseMetrics } from '../../../process/database-metrics.ts';

const LOOK: DatabaseLook = {
  connections: new Map([
    ['active', 2],
    ['idle', 5],
  ]),
  connectionsLimit: 197,
  oldestTransactionMs: 1500,
  lockWaits: 3,
  replicationLagMs: 0,
  commits: 10,
  rollbacks: 1,
  deadlocks: 0,
  blocksFromCache: 100,
  blocksFromDisk: 4,
  walBytes: 1000,
  hasEpochGuard: false,
  overdue: 0,
  overdueMs: 0,
  pendingIncrements: 7,
  pendingIncrementsMs: 2500,
  databaseBytes: 1e6,
  xidAge: 800,
  liveRows: new Map([['entry', 9]]),
  deadRows: new Map([['entry', 8]]),
};

test('a look becomes samples: seconds, states and tables, and 0 or 1', async () => {
  const registry = new Registry();
  addDatabaseMetrics(registry, () => Promise.resolve(LOOK));
  const lines = (await registry.metrics()).split('\n');
  for (const line of [
    'parley_database_connections{state="active"} 2',
    'parley_database_connections{state="idle"} 5',
    'parley_database_oldest_transaction_seconds 1.5',
    'parley_database_transactions_total{outcome="rollback"} 1',
    'parley_database_dead_rows{table="entry"} 8',
    'parley_epoch_guard 0',
    'parley_pending_increments_oldest_seconds 2.5',
    'parley_overdue_seconds 0',
  ]) {
    expect(lines).toContain(line);
  }
});

test('what the server counts is shown as it counts, however often it is read', async () => {
  const registry = new Registry();
  let commits = 10;
  addDatabaseMetrics(registry, () => Promise.resolve({ ...LOOK, commits }));
  await registry.metrics();
  commits = 12;
  expect(await registry.metrics()).toContain('parley_database_transactions_total{outcome="commit"} 12\n');
});

test('while the database does not answer there are no samples, neither old ones nor zeros', async () => {
  const registry = new Registry();
  let look: DatabaseLook | undefined = LOOK;
  addDatabaseMetrics(registry, () => Promise.resolve(look));
  await registry.metrics();
  look = undefined;
  const samples = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(samples).toEqual([]);
});
