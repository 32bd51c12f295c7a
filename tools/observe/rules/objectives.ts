import type { Alert, Recording } from './rule.ts';
import type { Duration, Times } from './times.ts';

/** A service level objective: of all events at most a share may be bad. docs/explanation/slo.md explains the three. */
export interface Objective {
  /** Label `slo`. */
  readonly slo: string;
  /** First part of the names of its alerts. */
  readonly alert: string;
  /** Share of good events over 30 days. */
  readonly target: number;
  /** What the bad events are: "too many ..". */
  readonly complaint: string;
  /** Events per second; `[w]` stands for the window. */
  readonly bad: string;
  readonly all: string;
}

const WRITES = 'method!="GET", route=~"/v1/conversations.*"';

export const OBJECTIVES: readonly Objective[] = [
  {
    slo: 'writes',
    alert: 'ParleyWriteErrorBudget',
    target: 0.999,
    complaint: 'writes end with a server error',
    bad: `sum(rate(parley_http_request_duration_seconds_count{${WRITES}, status=~"5.."}[w])) or vector(0)`,
    all: `sum(rate(parley_http_request_duration_seconds_count{${WRITES}}[w]))`,
  },
  {
    slo: 'decisions',
    alert: 'ParleyDecisionLatencyBudget',
    target: 0.99,
    complaint: 'operations take longer than 250 ms',
    bad: [
      'sum(rate(actor_message_duration_seconds_count[w]))',
      '- sum(rate(actor_message_duration_seconds_bucket{le="0.25"}[w]))',
    ].join(' '),
    all: 'sum(rate(actor_message_duration_seconds_count[w]))',
  },
  {
    slo: 'delivery',
    alert: 'ParleyDeliveryLagBudget',
    target: 0.99,
    complaint: 'entries reach open streams later than a second',
    bad: [
      'sum(rate(parley_delivery_lag_seconds_count[w]))',
      '- sum(rate(parley_delivery_lag_seconds_bucket{le="1"}[w]))',
    ].join(' '),
    all: 'sum(rate(parley_delivery_lag_seconds_count[w]))',
  },
];

/** How fast the budget burns, over a long window and, so that the alert ends with the trouble, over a short one. */
const BURNS: Readonly<Record<'Fast' | 'Slow', readonly { long: Duration; short: Duration; factor: number }[]>> = {
  // 2 % of the budget in an hour, or 5 % in six hours.
  Fast: [
    { long: '1h', short: '5m', factor: 14.4 },
    { long: '6h', short: '30m', factor: 6 },
  ],
  // 10 % of the budget in three days, or 10 % in a day.
  Slow: [
    { long: '1d', short: '2h', factor: 3 },
    { long: '3d', short: '6h', factor: 1 },
  ],
};
const WINDOWS: readonly Duration[] = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'];

/** Rates over the shortest window, and shares of bad events over all windows, which are sums of these rates. */
export function objectiveRecordings(t: Times): readonly Recording[] {
  const rates = OBJECTIVES.flatMap(({ slo, bad, all }): Recording[] => [
    { record: 'parley:slo_bad:rate5m', expr: bad.replaceAll('[w]', `[${t.window('5m')}]`), labels: { slo } },
    { record: 'parley:slo_all:rate5m', expr: all.replaceAll('[w]', `[${t.window('5m')}]`), labels: { slo } },
  ]);
  const shares = WINDOWS.map((window): Recording => ({
    record: `parley:slo_bad:ratio_rate${window}`,
    expr:
      window === '5m'
        ? 'parley:slo_bad:rate5m / (parley:slo_all:rate5m > 0)'
        : `sum_over_time(parley:slo_bad:rate5m[${t.window(window)}]) / (sum_over_time(parley:slo_all:rate5m[${t.window(window)}]) > 0)`,
  }));
  return [...rates, ...shares];
}

export function objectiveAlerts(): readonly Alert[] {
  return OBJECTIVES.flatMap(({ slo, alert, target, complaint }) =>
    (['Fast', 'Slow'] as const).map((speed): Alert => ({
      alert: `${alert}${speed}`,
      expr: BURNS[speed]
        .map(({ long, short, factor }) => {
          const least = Number((factor * (1 - target)).toPrecision(6));
          const over = (window: Duration): string => `parley:slo_bad:ratio_rate${window}{slo="${slo}"} > ${least}`;
          return `(${over(long)} and ${over(short)})`;
        })
        .join(' or '),
      for: speed === 'Fast' ? '2m' : '15m',
      severity: speed === 'Fast' ? 'critical' : 'warning',
      summary: `Too many ${complaint}`,
      description: `{{ $value | humanizePercentage }} of the events are bad; ${percent(1 - target)} is what 30 days allow.`,
    })),
  );
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(6))} %`;
}
