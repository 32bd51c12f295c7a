import type { Alert } from './rule.ts';
import type { Times } from './times.ts';

/** Processes: whether they are there, have memory and know the time. */
export function serviceAlerts(t: Times): readonly Alert[] {
  return [
    {
      alert: 'ParleyTargetDown',
      expr: 'min by (job, instance) (up{job=~"api|worker|worker-sdk|temporal"}) == 0',
      for: '2m',
      severity: 'warning',
      summary: 'Prometheus cannot read the metrics of a process',
      description: '{{ $labels.instance }} of the job {{ $labels.job }} does not answer.',
    },
    {
      alert: 'ParleyTargetAbsent',
      expr: 'absent(up{job="api"} == 1) or absent(up{job="worker"} == 1)',
      for: '1m',
      severity: 'critical',
      summary: 'No process of a kind answers Prometheus',
      description: 'No process of the job {{ $labels.job }} answers.',
    },
    {
      alert: 'ParleyNoWorker',
      expr: [
        'max(parley_workers_alive) == 0',
        'or (sum(temporal_num_pollers{job="worker-sdk", poller_type=~".*workflow_task"}) or vector(0)) == 0',
      ].join(' '),
      for: '30s',
      severity: 'critical',
      summary: 'No worker works',
      description: 'No worker signs that it works, or none polls Temporal for workflow tasks.',
    },
    {
      alert: 'ParleyMemoryUsageHigh',
      expr: [
        'max by (job, instance) (process_resident_memory_bytes / parley_memory_limit_bytes) > 0.9',
        'or max by (job, instance) (nodejs_heap_size_used_bytes / parley_heap_limit_bytes) > 0.85',
      ].join(' '),
      for: '5m',
      severity: 'warning',
      summary: 'A process has used most of its memory',
      description: '{{ $labels.instance }} ({{ $labels.job }}) uses {{ $value | humanizePercentage }} of its limit.',
    },
    {
      alert: 'ParleyClockSkew',
      expr: 'max by (job, instance) (abs(parley_clock_skew_seconds)) > 5',
      for: '5m',
      severity: 'warning',
      summary: 'The clock of a process differs from the clock of the database',
      description: '{{ $labels.instance }} ({{ $labels.job }}) differs by {{ $value | humanizeDuration }}.',
    },
    {
      alert: 'ParleyIncarnationChanged',
      expr: 'count(group by (incarnation) (last_over_time(parley_incarnation_info[15m]))) > 1',
      for: '1m',
      severity: 'critical',
      summary: 'The database went back, or processes use different databases',
      description: '{{ $value }} incarnations of the service were seen within 15 minutes.',
    },
    {
      alert: 'ParleyPoolWait',
      expr: 'sum by (job, instance, pool) (parley_pool_connections{state="waiting"}) > 10',
      for: '2m',
      severity: 'warning',
      summary: 'Work waits for connections to PostgreSQL',
      description: '{{ $value }} statements wait in the pool {{ $labels.pool }} of {{ $labels.instance }}.',
    },
    {
      alert: 'ParleyRequestsShed',
      expr: `sum(rate(parley_requests_shed_total[${t.window('5m')}])) > 1`,
      for: '5m',
      severity: 'warning',
      summary: 'Requests are refused because there is more work than time',
      description: '{{ $value | humanize }} requests per second are refused as overloaded.',
    },
  ];
}
