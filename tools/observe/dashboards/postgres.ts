import type { Dashboard } from './panel.ts';

export const postgres: Dashboard = {
  name: 'postgres',
  title: 'Parley: PostgreSQL',
  description: 'The database as the processes of Parley see it. No exporter is needed.',
  rows: [
    {
      title: 'Sessions',
      panels: [
        {
          title: 'Connections',
          description: 'Of the whole server, by state, and the limit.',
          unit: 'short',
          queries: [
            { expr: 'max by (state) (parley_database_connections)', legend: '{{state}}' },
            { expr: 'max(parley_database_connections_limit)', legend: 'limit' },
          ],
        },
        {
          title: 'Oldest transaction',
          description: 'Normal: below 5 s.',
          unit: 's',
          alarm: 300,
          queries: [{ expr: 'max(parley_database_oldest_transaction_seconds)', legend: 'oldest' }],
        },
        {
          title: 'Sessions that wait for locks',
          description: 'Normal: 0, with short peaks.',
          unit: 'short',
          alarm: 3,
          queries: [{ expr: 'max(parley_database_lock_waits)', legend: 'waits' }],
        },
        {
          title: 'Transactions',
          description: 'Rollbacks: a refused statement, or a time limit.',
          unit: 'ops',
          queries: [
            { expr: 'max by (outcome) (rate(parley_database_transactions_total[w]))', legend: '{{outcome}}' },
            { expr: 'max(rate(parley_database_deadlocks_total[w]))', legend: 'deadlocks' },
          ],
        },
      ],
    },
    {
      title: 'Storage',
      panels: [
        {
          title: 'Size',
          description: 'Of the database, on disk.',
          unit: 'bytes',
          queries: [{ expr: 'max(parley_database_size_bytes)', legend: 'database' }],
        },
        {
          title: 'Write-ahead log',
          description: 'Bytes per second, of the whole server.',
          unit: 'Bps',
          queries: [{ expr: 'max(rate(parley_database_wal_bytes_total[w]))', legend: 'log' }],
        },
        {
          title: 'Blocks found in the cache',
          description: 'Normal: above 99 %. Below, the server needs more memory.',
          unit: 'percentunit',
          queries: [
            {
              expr: 'max(rate(parley_database_blocks_total{source="cache"}[w])) / sum(max by (source) (rate(parley_database_blocks_total[w])))',
              legend: 'cache',
            },
          ],
        },
        {
          title: 'Dead rows',
          description: 'The five tables with most. Vacuum removes them.',
          unit: 'short',
          queries: [{ expr: 'topk(5, max by (table) (parley_database_dead_rows))', legend: '{{table}}' }],
        },
        {
          title: 'Live rows',
          description: 'The five largest tables, as the server estimates them.',
          unit: 'short',
          queries: [{ expr: 'topk(5, max by (table) (parley_database_live_rows))', legend: '{{table}}' }],
        },
        {
          title: 'Transaction ids',
          description: 'In use since the oldest frozen one; 2.1 billion is the end. Normal: below 200 million.',
          unit: 'short',
          alarm: 1e9,
          queries: [{ expr: 'max(parley_database_xid_age)', legend: 'ids' }],
        },
        {
          title: 'Replication lag',
          description: 'Of the slowest replica; 0 without replicas.',
          unit: 's',
          alarm: 30,
          queries: [{ expr: 'max(parley_database_replication_lag_seconds)', legend: 'lag' }],
        },
      ],
    },
  ],
};
