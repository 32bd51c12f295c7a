import type { Recording } from './rule.ts';
import type { Times } from './times.ts';

/** Numbers that alerts and dashboards share. */
export function recordings(t: Times): readonly Recording[] {
  const window = t.window('5m');
  const quantile = (share: number, metric: string, more = ''): string =>
    `histogram_quantile(${share}, sum by (le) (rate(${metric}_bucket${more}[${window}])))`;
  return [
    { record: 'parley:decision_seconds:p50', expr: quantile(0.5, 'actor_message_duration_seconds') },
    { record: 'parley:decision_seconds:p95', expr: quantile(0.95, 'actor_message_duration_seconds') },
    { record: 'parley:decision_seconds:p99', expr: quantile(0.99, 'actor_message_duration_seconds') },
    { record: 'parley:delivery_lag_seconds:p95', expr: quantile(0.95, 'parley_delivery_lag_seconds') },
    {
      record: 'parley:workflow_task_schedule_to_start_seconds:p95',
      expr: quantile(0.95, 'temporal_workflow_task_schedule_to_start_latency', '{job="worker-sdk"}'),
    },
    {
      record: 'parley:operations:rate5m',
      expr: `sum by (kind, outcome, path) (rate(parley_operations_total[${window}]))`,
    },
    {
      record: 'parley:workflow_path:ratio_rate5m',
      expr: [
        `sum(rate(parley_operations_total{path="workflow"}[${window}]))`,
        `/ (sum(rate(parley_operations_total[${window}])) > 0)`,
      ].join(' '),
    },
    {
      record: 'parley:epoch_conflicts:ratio_rate5m',
      expr: [
        `sum(rate(epoch_conflicts_total[${window}]))`,
        `/ ((sum(rate(epoch_conflicts_total[${window}])) + sum(rate(epoch_increment_duration_seconds_count[${window}]))) > 0)`,
      ].join(' '),
    },
  ];
}
