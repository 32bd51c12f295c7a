import { type Dashboard, quantile, quantiles } from './panel.ts';

const SDK = '{job="worker-sdk"}';

export const temporal: Dashboard = {
  name: 'temporal',
  title: 'Parley: Temporal worker and server',
  description: 'The workers by the metrics of the SDK, the server by its own, and how API processes see both.',
  rows: [
    {
      title: 'As API processes see it',
      panels: [
        {
          title: 'Updates in flight, and their limit',
          description: 'The limit falls when updates become slow.',
          unit: 'short',
          queries: [
            { expr: 'sum(parley_updates_in_flight)', legend: 'in flight' },
            { expr: 'sum(parley_update_budget)', legend: 'limit' },
          ],
        },
        {
          title: 'Diversions',
          description: 'Batches that took the direct path instead, by reason.',
          unit: 'ops',
          queries: [{ expr: 'sum by (reason) (rate(parley_diversions_total[w]))', legend: '{{reason}}' }],
        },
        {
          title: 'Time of an update without load',
          description: 'As `auto` measured it. Normal: 0.005 to 0.03 s.',
          unit: 's',
          queries: [{ expr: 'max by (instance) (parley_update_baseline_seconds)', legend: '{{instance}}' }],
        },
        {
          title: 'Breaker',
          description: '1 = Temporal does not answer this process. Normal: 0.',
          unit: 'short',
          alarm: 1,
          queries: [{ expr: 'max by (instance) (parley_breaker_open)', legend: '{{instance}}' }],
        },
      ],
    },
    {
      title: 'Workers',
      panels: [
        {
          title: 'Workflow tasks',
          description: 'Done and failed, per second. Failed: normal 0.',
          unit: 'ops',
          queries: [
            { expr: `sum(rate(temporal_workflow_task_execution_latency_count${SDK}[w]))`, legend: 'executed' },
            { expr: `sum(rate(temporal_workflow_task_execution_failed${SDK}[w]))`, legend: 'failed' },
          ],
        },
        {
          title: 'Schedule to start',
          description: 'How long tasks wait for a worker. Normal: p95 below 0.05 s.',
          unit: 's',
          alarm: 1,
          queries: quantiles('temporal_workflow_task_schedule_to_start_latency', SDK),
        },
        {
          title: 'Execution and replay, p95',
          description: 'Of workflow tasks, on the worker.',
          unit: 's',
          queries: [
            { expr: quantile(0.95, 'temporal_workflow_task_execution_latency', '', SDK), legend: 'execution' },
            { expr: quantile(0.95, 'temporal_workflow_task_replay_latency', '', SDK), legend: 'replay' },
            { expr: quantile(0.95, 'temporal_local_activity_execution_latency', '', SDK), legend: 'local activity' },
          ],
        },
        {
          title: 'Slots in use',
          description: 'By kind of work. At the limit, tasks wait in the server.',
          unit: 'short',
          queries: [
            { expr: `sum by (worker_type) (temporal_worker_task_slots_used${SDK})`, legend: '{{worker_type}} used' },
            {
              expr: `sum by (worker_type) (temporal_worker_task_slots_available${SDK})`,
              legend: '{{worker_type}} free',
            },
          ],
        },
        {
          title: 'Cache of conversations',
          description: 'Conversations in the caches of the workers.',
          unit: 'short',
          queries: [{ expr: `sum(temporal_sticky_cache_size${SDK})`, legend: 'cached' }],
        },
        {
          title: 'Cache: hits, misses, evictions',
          description: 'A forced eviction throws out a conversation that may be needed. Normal: few.',
          unit: 'ops',
          queries: [
            { expr: `sum(rate(temporal_sticky_cache_hit${SDK}[w]))`, legend: 'hits' },
            { expr: `sum(rate(temporal_sticky_cache_miss${SDK}[w]))`, legend: 'misses' },
            { expr: `sum(rate(temporal_sticky_cache_total_forced_eviction${SDK}[w]))`, legend: 'forced evictions' },
          ],
        },
        {
          title: 'Pollers',
          description: 'Polls that wait in the server. Never 0.',
          unit: 'short',
          queries: [{ expr: `sum by (poller_type) (temporal_num_pollers${SDK})`, legend: '{{poller_type}}' }],
        },
        {
          title: 'Calls of the server',
          description: 'Requests that failed are tried again by the SDK.',
          unit: 'ops',
          queries: [
            { expr: `sum by (operation) (rate(temporal_request${SDK}[w]))`, legend: '{{operation}}' },
            { expr: `sum by (operation) (rate(temporal_request_failure${SDK}[w]))`, legend: '{{operation}} failed' },
          ],
        },
      ],
    },
    {
      title: 'Server',
      panels: [
        {
          title: 'Requests by service',
          description: 'Of the parts of the server.',
          unit: 'reqps',
          queries: [
            { expr: 'sum by (service_name) (rate(service_requests{job="temporal"}[w]))', legend: '{{service_name}}' },
          ],
        },
        {
          title: 'Persistence, p95',
          description: 'How long its database takes. Normal: below 0.02 s.',
          unit: 's',
          queries: [{ expr: quantile(0.95, 'persistence_latency', '', '{job="temporal"}'), legend: 'p95' }],
        },
        {
          title: 'Persistence: requests and errors',
          description: 'Errors of the kind NotFound are normal.',
          unit: 'ops',
          queries: [
            { expr: 'sum(rate(persistence_requests{job="temporal"}[w]))', legend: 'requests' },
            {
              expr: 'sum by (error_type) (rate(persistence_error_with_type{job="temporal"}[w]))',
              legend: '{{error_type}}',
            },
          ],
        },
        {
          title: 'Locks of shards, p95',
          description: 'A shard does one write at a time. If it grows, the server needs more shards.',
          unit: 's',
          queries: [{ expr: quantile(0.95, 'lock_latency', '', '{job="temporal"}'), legend: 'p95' }],
        },
      ],
    },
  ],
};
