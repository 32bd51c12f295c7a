import { type Dashboard, quantiles } from './panel.ts';

export const delivery: Dashboard = {
  name: 'delivery',
  title: 'Parley: delivery and streams',
  description: 'How entries reach devices.',
  rows: [
    {
      title: 'Streams',
      panels: [
        {
          title: 'Open streams',
          description: 'By API process.',
          unit: 'short',
          queries: [{ expr: 'sum by (instance) (parley_open_streams)', legend: '{{instance}}' }],
        },
        {
          title: 'Streams that the service closed',
          description: 'By reason. `slow` = a client does not read.',
          unit: 'ops',
          queries: [{ expr: 'sum by (reason) (rate(parley_streams_closed_total[w]))', legend: '{{reason}}' }],
        },
        {
          title: 'Delivery lag',
          description: 'From the decision to the write into the stream. Normal: p95 below 0.1 s.',
          unit: 's',
          alarm: 1,
          queries: quantiles('parley_delivery_lag_seconds'),
        },
        {
          title: 'Entries written into streams',
          description: 'One for each entry and stream.',
          unit: 'ops',
          queries: [{ expr: 'sum(rate(parley_delivery_lag_seconds_count[w]))', legend: 'entries' }],
        },
      ],
    },
    {
      title: 'Bytes',
      panels: [
        {
          title: 'Bytes in flight',
          description: 'Bodies and answers in memory. Normal: below half of BYTES_IN_FLIGHT.',
          unit: 'bytes',
          queries: [{ expr: 'sum by (direction) (parley_bytes_in_flight)', legend: '{{direction}}' }],
        },
        {
          title: 'Transfers that were cut',
          description: 'A share or the budget was full, or no byte moved. Normal: 0.',
          unit: 'ops',
          queries: [
            {
              expr: 'sum by (direction, reason) (rate(parley_transfers_cut_total[w]))',
              legend: '{{direction}} {{reason}}',
            },
          ],
        },
        {
          title: 'Reads',
          description: 'GET requests, p95 by route.',
          unit: 's',
          queries: [
            {
              expr: 'histogram_quantile(0.95, sum by (route, le) (rate(parley_http_request_duration_seconds_bucket{method="GET", route=~"/v1/.*"}[w])))',
              legend: '{{route}}',
            },
          ],
        },
        {
          title: 'Rows that the sweep deleted',
          description: 'Rows per second, by table.',
          unit: 'ops',
          queries: [{ expr: 'sum by (table) (rate(parley_swept_rows_total[w]))', legend: '{{table}}' }],
        },
      ],
    },
  ],
};
