import type { Dashboard } from './panel.ts';

export const overview: Dashboard = {
  name: 'overview',
  title: 'Parley: overview',
  description: 'Is the service well? The first page to look at.',
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Alerts that fire',
          description: 'Normal: 0. Each has a page in docs/runbooks.',
          unit: 'short',
          isNumber: true,
          alarm: 1,
          queries: [{ expr: 'count(ALERTS{alertstate="firing"}) or vector(0)', legend: 'alerts' }],
        },
        {
          title: 'API processes',
          description: 'Processes that answer Prometheus.',
          unit: 'short',
          isNumber: true,
          queries: [{ expr: 'sum(up{job="api"}) or vector(0)', legend: 'api' }],
        },
        {
          title: 'Workers that work',
          description: 'By their signs in PostgreSQL: their workflow threads answered.',
          unit: 'short',
          isNumber: true,
          queries: [{ expr: 'max(parley_workers_alive)', legend: 'workers' }],
        },
        {
          title: 'Write errors, 30 min',
          description: 'Share of writes that ended with a server error. Objective: 0.1 % over 30 days.',
          unit: 'percentunit',
          isNumber: true,
          alarm: 0.001,
          queries: [{ expr: 'parley:slo_bad:ratio_rate30m{slo="writes"}', legend: 'writes' }],
        },
        {
          title: 'Conversations in trouble',
          description: 'Conversations with a sign of trouble within the last minute. Normal: 0.',
          unit: 'short',
          isNumber: true,
          alarm: 1,
          queries: [{ expr: 'sum(max by (sign) (parley_conversations_in_trouble))', legend: 'in trouble' }],
        },
        {
          title: 'Oldest waiting operation',
          description: 'Normal: below 0.1 s. Operations are answered by their deadline in any case.',
          unit: 's',
          isNumber: true,
          alarm: 5,
          queries: [{ expr: 'max(parley_oldest_operation_seconds)', legend: 'oldest' }],
        },
      ],
    },
    {
      title: 'Traffic',
      panels: [
        {
          title: 'Requests by status',
          description: 'All routes.',
          unit: 'reqps',
          queries: [
            { expr: 'sum by (status) (rate(parley_http_request_duration_seconds_count[w]))', legend: '{{status}}' },
          ],
        },
        {
          title: 'Operations by outcome',
          description: 'What conversations decided. `accepted` and `duplicate` are normal.',
          unit: 'ops',
          queries: [{ expr: 'sum by (outcome) (rate(parley_operations_total[w]))', legend: '{{outcome}}' }],
        },
        {
          title: 'Time to a decision',
          description: 'From entry into the queue of a conversation. Normal: p95 below 0.1 s.',
          unit: 's',
          alarm: 1,
          queries: [
            { expr: 'parley:decision_seconds:p50', legend: 'p50' },
            { expr: 'parley:decision_seconds:p95', legend: 'p95' },
            { expr: 'parley:decision_seconds:p99', legend: 'p99' },
          ],
        },
        {
          title: 'Delivery lag',
          description: 'From the decision to the write into an open stream, p95. Normal: below 0.1 s.',
          unit: 's',
          alarm: 1,
          queries: [{ expr: 'parley:delivery_lag_seconds:p95', legend: 'p95' }],
        },
      ],
    },
    {
      title: 'Objectives',
      panels: [
        {
          title: 'Share of bad events',
          description: 'Over an hour, by objective (docs/explanation/slo.md).',
          unit: 'percentunit',
          queries: [{ expr: 'parley:slo_bad:ratio_rate1h', legend: '{{slo}}' }],
        },
        {
          title: 'Versions',
          description: 'Processes by version and build. More than one: a deploy is under way.',
          unit: 'short',
          queries: [{ expr: 'count by (version, build) (parley_build_info)', legend: '{{version}} {{build}}' }],
        },
        {
          title: 'Share of the workflow',
          description: 'Operations that workflows decided. Under `auto` it falls when Temporal is slow or away.',
          unit: 'percentunit',
          queries: [{ expr: 'parley:workflow_path:ratio_rate5m', legend: 'workflow' }],
        },
      ],
    },
  ],
};
