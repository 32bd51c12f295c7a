import type { Alert } from './rule.ts';
import type { Times } from './times.ts';

/** What Parley stands on: Temporal and PostgreSQL. */
export function serverAlerts(t: Times): readonly Alert[] {
  return [
    {
      alert: 'ParleyScheduleToStartHigh',
      expr: 'parley:workflow_task_schedule_to_start_seconds:p95 > 1',
      for: '5m',
      severity: 'warning',
      summary: 'Workflow tasks wait for a worker',
      description: 'Of 20 tasks one waits longer than {{ $value | humanizeDuration }}: too few workers or slots.',
    },
    {
      alert: 'ParleyForcedEvictions',
      expr: `sum(rate(temporal_sticky_cache_total_forced_eviction{job="worker-sdk"}[${t.window('5m')}])) > 1`,
      for: '10m',
      severity: 'warning',
      summary: 'The caches of the workers are too small',
      description:
        '{{ $value | humanize }} conversations per second are thrown out and are rebuilt when they are needed.',
    },
    {
      alert: 'ParleyPostgresConnections',
      expr: 'max(sum by (instance) (parley_database_connections)) / max(parley_database_connections_limit) > 0.8',
      for: '5m',
      severity: 'warning',
      summary: 'PostgreSQL has few connections left',
      description: '{{ $value | humanizePercentage }} of the connections are in use.',
    },
    {
      alert: 'ParleyPostgresOldTransaction',
      expr: `max(parley_database_oldest_transaction_seconds) > ${t.seconds('5m')}`,
      for: '1m',
      severity: 'warning',
      summary: 'A transaction has been open for long',
      description:
        'It is {{ $value | humanizeDuration }} old. It holds its locks, and vacuum cannot clean up behind it.',
    },
    {
      alert: 'ParleyPostgresLockWaits',
      expr: 'max(parley_database_lock_waits) > 2',
      for: '2m',
      severity: 'warning',
      summary: 'Sessions wait for locks',
      description: '{{ $value }} sessions of the database wait for a lock that another one holds.',
    },
    {
      alert: 'ParleyPostgresDeadRows',
      expr: [
        'max by (table) (parley_database_dead_rows) > 100000',
        'and max by (table) (parley_database_dead_rows) > max by (table) (parley_database_live_rows)',
      ].join(' '),
      for: '1h',
      severity: 'warning',
      summary: 'Vacuum does not keep up',
      description: 'The table {{ $labels.table }} has {{ $value | humanize }} dead rows, more than live ones.',
    },
    {
      alert: 'ParleyPostgresTransactionIds',
      expr: 'max(parley_database_xid_age) > 1e9',
      for: '1h',
      severity: 'critical',
      summary: 'PostgreSQL runs out of transaction ids',
      description: '{{ $value | humanize }} of 2.1 billion ids are in use. At the end the server refuses to write.',
    },
    {
      alert: 'ParleyPostgresReplicationLag',
      expr: 'max(parley_database_replication_lag_seconds) > 30',
      for: '5m',
      severity: 'warning',
      summary: 'A replica of PostgreSQL is behind',
      description: 'It is {{ $value | humanizeDuration }} behind.',
    },
  ];
}
