import type { Chart, Series } from '../../plot/chart.ts';
import { drawFigure } from '../../plot/figure.ts';
import type { Dashboard, Panel, Query, Unit } from '../dashboards/panel.ts';
import type { Line } from '../prometheus.ts';

/** More lines in one chart cannot be told apart. */
const MOST_LINES = 6;
const UNITS: Readonly<Record<Unit, string>> = {
  s: 's',
  reqps: 'per s',
  ops: 'per s',
  short: '',
  bytes: 'MB',
  percentunit: '%',
  Bps: 'KB/s',
};
const FACTORS: Readonly<Partial<Record<Unit, number>>> = { bytes: 1e-6, percentunit: 100, Bps: 1e-3 };

/** Draws a dashboard: all its panels as charts. @param ask answers a query over the time of the run @returns an SVG file */
export async function drawDashboard(
  { title, rows }: Dashboard,
  ask: (expr: string) => Promise<readonly Line[]>,
): Promise<string> {
  const charts: Chart[] = [];
  for (const panel of rows.flatMap(({ panels }) => panels)) charts.push(await chartOf(panel, ask));
  return drawFigure(title, charts);
}

async function chartOf(panel: Panel, ask: (expr: string) => Promise<readonly Line[]>): Promise<Chart> {
  const { title, unit, queries } = panel;
  const answers = await Promise.all(queries.map(async (query) => ({ query, lines: await ask(query.expr) })));
  const start = Math.min(...answers.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([at]) => at))));
  const series = answers.flatMap(({ query, lines }) =>
    lines.map((line): Series => ({
      name: legendOf(query, line),
      markers: false,
      points: line.points
        .filter(([, value]) => Number.isFinite(value))
        .map(([at, value]) => ({ x: at - start, y: value * (FACTORS[unit] ?? 1) })),
    })),
  );
  const drawn = series.filter(({ points }) => points.length > 0).slice(0, MOST_LINES);
  const suffix = UNITS[unit] === '' ? '' : ` (${UNITS[unit]})`;
  return {
    title: `${title}${suffix}`,
    xLabel: drawn.length === 0 ? 'no data: nothing of this kind happened' : 'seconds',
    xKind: 'linear',
    series:
      drawn.length === 0
        ? [
            {
              name: 'none',
              markers: false,
              points: [
                { x: 0, y: 0 },
                { x: 1, y: 0 },
              ],
            },
          ]
        : drawn,
  };
}

/** Fills in labels as Grafana does. */
function legendOf({ legend }: Query, { labels }: Line): string {
  const known = new Map(Object.entries(labels));
  return legend.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => known.get(label) ?? '');
}
