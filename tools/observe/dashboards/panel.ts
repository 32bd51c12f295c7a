/** Units as Grafana names them. */
export type Unit = 's' | 'reqps' | 'ops' | 'short' | 'bytes' | 'percentunit' | 'Bps';

export interface Query {
  /** PromQL; `[w]` stands for Grafana's window of a rate. */
  readonly expr: string;
  /** Name of the line, or a template such as `{{path}}`. */
  readonly legend: string;
}

/** One chart, or one number. */
export interface Panel {
  readonly title: string;
  /** What it shows, and what is normal. */
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** A number instead of lines. @default false */
  readonly isNumber?: boolean;
  /** From here on it is drawn red; the threshold of the alert, where there is one. */
  readonly alarm?: number;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  /** File name, and last part of its address. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
}

/** A quantile of a histogram. @param by labels that stay, with a comma at the end */
export function quantile(share: number, metric: string, by = '', selector = ''): string {
  return `histogram_quantile(${share}, sum by (${by}le) (rate(${metric}_bucket${selector}[w])))`;
}

/** p50, p95 and p99 of a histogram. */
export function quantiles(metric: string, selector = ''): readonly Query[] {
  return [0.5, 0.95, 0.99].map((share) => ({
    expr: quantile(share, metric, '', selector),
    legend: `p${share * 100}`,
  }));
}
