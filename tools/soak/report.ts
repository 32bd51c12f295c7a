import type { Chart } from '../plot/chart.ts';
import { drawFigure } from '../plot/figure.ts';
import { shortNumber } from '../plot/numbers.ts';
import { markdownTable } from '../plot/page.ts';
import type { SoakReport } from './run.ts';
import { type Bound, SERIES } from './series.ts';
import { type SeriesVerdict, pointsOf } from './verdict.ts';

/** Above this duration the x axis is in hours. */
const HOURS_FROM_SECONDS = 2 * 3600;

/** The picture of a run: one chart for each thing that is sampled. @returns an SVG file */
export function drawSoak({ samples, seconds }: SoakReport): string {
  const [unit, length] = seconds > HOURS_FROM_SECONDS ? ['hours', 3600] : ['minutes', 60];
  const charts = [...new Set(SERIES.map(({ chart }) => chart))].flatMap((title): Chart[] => {
    const series = SERIES.filter(({ chart }) => chart === title).flatMap(({ key, label }) => {
      const points = pointsOf(samples, key).map(({ x, y }) => ({ x: x / length, y }));
      return points.length === 0 ? [] : [{ name: label, points, markers: false }];
    });
    return series.length === 0 ? [] : [{ title, xLabel: unit, xKind: 'linear', series }];
  });
  return drawFigure(`Steady traffic for ${shortNumber(seconds / length)} ${unit}`, charts);
}

/** The run in words and as a table, as Markdown. */
export function describeSoak({ size, seconds, acknowledged, commits, verdicts, problems }: SoakReport): string {
  const rows = verdicts.map((verdict) => [
    `${verdict.series.chart}: ${verdict.series.label}`,
    shortNumber(verdict.before),
    shortNumber(verdict.after),
    shortNumber(verdict.most),
    shortNumber(verdict.perHour),
    boundOf(verdict.series.bound),
    wordOf(verdict),
  ]);
  const head = ['series', 'first third', 'last third', 'most', 'slope per hour', 'bound', 'verdict'];
  const judged = verdicts.filter(({ isFlat }) => isFlat !== undefined);
  const flat = judged.filter(({ isFlat }) => isFlat === true);
  return [
    `${shortNumber(size.perSecond)} requests a second over ${size.conversations} conversations with ${size.streams} open streams, for ${(seconds / 60).toFixed(1)} minutes: ${acknowledged} acknowledged, of them ${commits} commits. ${flat.length} of ${judged.length} series are flat after the warm-up.`,
    markdownTable(head, rows),
    problems.length === 0
      ? 'Recounted at the end: every acknowledged message is in its log once, at its place and with its bytes; all invariants of all conversations hold; every stream got everything.'
      : problems.map((problem) => `- PROBLEM ${problem}`).join('\n'),
  ].join('\n\n');
}

/** Series that are not flat. */
export function notFlat({ verdicts }: Pick<SoakReport, 'verdicts'>): SeriesVerdict[] {
  return verdicts.filter(({ isFlat }) => isFlat === false);
}

function boundOf(bound: Bound): string {
  switch (bound.kind) {
    case 'shown':
      return '';
    case 'ceiling':
      return `at most ${shortNumber(bound.at)}`;
    case 'level':
      return `${shortNumber(bound.perHour)} per hour, or ${shortNumber(bound.allowance)} in all`;
  }
}

function wordOf({ isFlat }: SeriesVerdict): string {
  return isFlat === undefined ? '' : isFlat ? 'flat' : 'NOT FLAT';
}
