import type { Duration } from './times.ts';

/** An alert as this repository states it. */
export interface Alert {
  /** Begins with `Parley`; `docs/runbooks/` has a page of this name. */
  readonly alert: string;
  readonly expr: string;
  /** How long the expression holds before the alert fires. */
  readonly for: Duration;
  /** `critical` wakes somebody, `warning` is for the day. */
  readonly severity: 'critical' | 'warning';
  /** One sentence without numbers. */
  readonly summary: string;
  /** What is seen, with the number. */
  readonly description: string;
}

/** A number that other rules and dashboards use. */
export interface Recording {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Group {
  readonly name: string;
  readonly rules: readonly (Alert | Recording)[];
}

export function isAlert(rule: Alert | Recording): rule is Alert {
  return 'alert' in rule;
}
