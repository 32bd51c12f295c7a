import { drawFigure } from '../plot/figure.ts';
import { shortNumber } from '../plot/numbers.ts';
import { markdownTable } from '../plot/page.ts';
import type { Curve, CurveLine, CurvePoint, Measure } from './curve.ts';
import { type Verdict, judge } from './verdict.ts';

const MEASURES: readonly Measure[] = ['CPU ms', 'latency, first = 1', 'KB', 'per second'];

/** The picture of a curve: one chart for each thing that is measured. @returns an SVG file */
export function drawCurve({ title, xLabel, lines }: Curve): string {
  const charts = MEASURES.flatMap((measure) => {
    const drawn = lines.filter((line) => line.measure === measure && line.points.length > 0);
    if (drawn.length === 0) return [];
    const series = drawn.map(({ name, points }) => ({ name, points }));
    return [{ title: `${measure} for each`, xLabel, xKind: 'log' as const, series }];
  });
  return drawFigure(title, charts);
}

/** Lines that bend up without a reason. */
export function unexplained(curve: Curve): CurveLine[] {
  return curve.lines.filter((line) => judge(line).kind === 'bends up' && !curve.explained.has(line.name));
}

/** The table of a curve, its notes and its reasons, as Markdown. */
export function describeCurve(curve: Curve): string {
  const sizes = [...new Set(curve.lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const rows = curve.lines.map((line) => {
    const verdict = judge(line);
    const values = sizes.map((size) => numberAt(line, size));
    return [
      line.name,
      line.measure,
      ...values,
      `x ${verdict.ratio.toFixed(2)}`,
      verdict.endSlope.toFixed(2),
      wordsOf(verdict, curve, line),
    ];
  });
  const head = [curve.xLabel, 'measured', ...sizes.map(shortNumber), 'last / first', 'slope at the end', 'verdict'];
  const reasons = curve.lines
    .filter(({ measure }) => measure !== 'latency, first = 1')
    .flatMap(({ name }) => {
      const why = curve.explained.get(name);
      return why === undefined ? [] : [`- _${name}_: ${why}`];
    });
  const parts = describeParts(curve);
  return [
    markdownTable(head, rows),
    ...(parts === '' ? [] : [parts]),
    ...curve.notes,
    ...(reasons.length === 0 ? [] : [reasons.join('\n')]),
  ].join('\n\n');
}

/** Which process spends it, at the smallest and at the largest size. */
function describeParts({ lines }: Curve): string {
  const shown = lines.filter(({ points }) => Object.keys(points[0]?.parts ?? {}).length > 0);
  if (shown.length === 0) return '';
  const rows = shown.map(({ name, points }) => [name, partsOf(points[0]), partsOf(points.at(-1))]);
  return markdownTable(['CPU ms by process', 'smallest', 'largest'], rows);
}

/** Less than this share of a cost is not worth a word. */
const SMALL_PART = 0.03;

function partsOf(point: CurvePoint | undefined): string {
  if (point === undefined) return '';
  return Object.entries(point.parts)
    .filter(([, ms]) => ms > point.y * SMALL_PART)
    .map(([name, ms]) => `${name} ${shortNumber(ms)}`)
    .join(', ');
}

function numberAt({ points }: CurveLine, size: number): string {
  const point = points.find(({ x }) => x === size);
  return point === undefined ? '' : shortNumber(point.y);
}

function wordsOf({ kind }: Verdict, { explained }: Curve, { name }: CurveLine): string {
  if (kind === 'flat' || kind === 'falls' || !explained.has(name)) return kind;
  return `${kind}: see below`;
}
