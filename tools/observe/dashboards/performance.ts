import { type Dashboard, quantile, quantiles } from './panel.ts';

export const performance: Dashboard = {
  name: 'performance',
  title: 'Parley: performance',
  description: 'Where time and memory go.',
  rows: [
    {
      title: 'Decisions',
      panels: [
        {
          title: 'Time of operations by kind, p95',
          description: 'From entry into the queue to the outcome.',
          unit: 's',
          alarm: 1,
          queries: [
            { expr: quantile(0.95, 'actor_message_duration_seconds', 'message_type, '), legend: '{{message_type}}' },
          ],
        },
        {
          title: 'Wait in the queue, p95',
          description: 'Before the batch starts, by path. Normal: below 0.05 s.',
          unit: 's',
          queries: [{ expr: quantile(0.95, 'parley_lane_wait_seconds', 'path, '), legend: '{{path}}' }],
        },
        {
          title: 'Time of batches, p95',
          description: 'By path; `activity` is the part of the worker.',
          unit: 's',
          queries: [{ expr: quantile(0.95, 'parley_batch_duration_seconds', 'path, '), legend: '{{path}}' }],
        },
        {
          title: 'Operations per batch',
          description: 'Mean. It grows with load: batches gather while one is decided.',
          unit: 'short',
          queries: [
            {
              expr: 'sum by (path) (rate(parley_batch_operations_sum[w])) / sum by (path) (rate(parley_batch_operations_count[w]))',
              legend: '{{path}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Load',
      panels: [
        {
          title: 'Expected wait',
          description: 'Of work that comes now. Above 0.1 s for long, requests are shed.',
          unit: 's',
          alarm: 0.1,
          queries: [{ expr: 'max by (instance) (parley_expected_wait_seconds)', legend: '{{instance}}' }],
        },
        {
          title: 'Requests shed',
          description: 'By class. Normal: 0.',
          unit: 'ops',
          queries: [{ expr: 'sum by (class) (rate(parley_requests_shed_total[w]))', legend: '{{class}}' }],
        },
        {
          title: 'Database connections of processes',
          description: 'In use, and statements that wait for one.',
          unit: 'short',
          queries: [
            {
              expr: 'sum by (pool) (parley_pool_connections{state="total"}) - sum by (pool) (parley_pool_connections{state="idle"})',
              legend: '{{pool}} in use',
            },
            { expr: 'sum by (pool) (parley_pool_connections{state="waiting"})', legend: '{{pool}} waiting' },
          ],
        },
        {
          title: 'Jobs in threads',
          description: 'Checks of large inputs: how long they wait and run, p95.',
          unit: 's',
          queries: [
            { expr: quantile(0.95, 'parley_job_wait_seconds'), legend: 'wait' },
            { expr: quantile(0.95, 'parley_job_duration_seconds', 'where, '), legend: 'run: {{where}}' },
          ],
        },
      ],
    },
    {
      title: 'Processes',
      panels: [
        {
          title: 'CPU',
          description: 'Cores. The event loop has one; more is work of threads.',
          unit: 'short',
          queries: [
            { expr: 'sum by (job, instance) (rate(process_cpu_seconds_total[w]))', legend: '{{job}} {{instance}}' },
          ],
        },
        {
          title: 'Memory',
          description: 'Resident. It must not grow for days (docs/explanation/curves.md).',
          unit: 'bytes',
          queries: [{ expr: 'max by (job, instance) (process_resident_memory_bytes)', legend: '{{job}} {{instance}}' }],
        },
        {
          title: 'Delay of the event loop, p99',
          description: 'Normal: below 0.05 s.',
          unit: 's',
          queries: [
            { expr: 'max by (job, instance) (nodejs_eventloop_lag_p99_seconds)', legend: '{{job}} {{instance}}' },
          ],
        },
        {
          title: 'HTTP requests',
          description: 'All routes.',
          unit: 's',
          queries: quantiles('parley_http_request_duration_seconds'),
        },
      ],
    },
  ],
};
