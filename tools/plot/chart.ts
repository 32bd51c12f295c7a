import { type Scale, type ScaleKind, linearScale, logScale } from './scale.ts';
import { element, escapeText, tenths } from './svg.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** One line of a chart. */
export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  /** False: so many points that only the line is drawn. @default true */
  readonly markers?: boolean;
}

/** One chart: lines over one x axis and one y axis. */
export interface Chart {
  /** With the unit of y. */
  readonly title: string;
  /** With the unit of x. */
  readonly xLabel: string;
  readonly xKind: ScaleKind;
  readonly series: readonly Series[];
}

/** Width of a chart in pixels, and height of its axes; a legend line is added for each series. */
const WIDTH = 440;
const AXES_HEIGHT = 210;
const MARGIN = { left: 52, right: 18, top: 30, bottom: 44 };
const LEGEND_LINE = 17;
/** From the largest to the smallest value of y: beyond it, the axis is logarithmic. */
const LINEAR_RANGE = 40;

/** Line styles: each has a colour that is readable on white and on black, a dash and a marker of its own. */
const STYLES = [
  { colour: '#2f7fd8', dash: '', marker: 'circle' },
  { colour: '#d9622b', dash: '6 3', marker: 'square' },
  { colour: '#1f9e77', dash: '2 3', marker: 'triangle' },
  { colour: '#a95fce', dash: '9 3 2 3', marker: 'diamond' },
  { colour: '#b58b1f', dash: '4 2', marker: 'circle' },
  { colour: '#d0476a', dash: '1 2', marker: 'square' },
  { colour: '#4a93a5', dash: '8 4', marker: 'triangle' },
  { colour: '#8a8a8a', dash: '', marker: 'diamond' },
] as const;
type Style = (typeof STYLES)[number];

/** Height of a chart with its legend. */
export function chartHeight({ series }: Chart): number {
  return MARGIN.top + AXES_HEIGHT + MARGIN.bottom + series.length * LEGEND_LINE;
}

export const chartWidth = WIDTH;

/** A chart as SVG, with its upper left corner at 0, 0. */
export function drawChart(chart: Chart): string {
  const points = chart.series.flatMap((one) => one.points);
  const xs = points.map(({ x }) => x);
  const x = chart.xKind === 'log' ? logScale(xs) : linearScale(xs);
  const y = yScale(points.map((one) => one.y));
  const right = (place: number): number => MARGIN.left + place * (WIDTH - MARGIN.left - MARGIN.right);
  const down = (place: number): number => MARGIN.top + (1 - place) * AXES_HEIGHT;
  const toPixel = (point: Point): Point => ({ x: right(x.place(point.x)), y: down(y.place(point.y)) });
  return [
    element('text', { x: MARGIN.left, y: 18, class: 'title' }, escapeText(chart.title)),
    ...y.ticks.flatMap(({ place, label }) => [
      element('line', { x1: right(0), x2: right(1), y1: down(place), y2: down(place), class: 'grid' }),
      element('text', { x: right(0) - 6, y: down(place) + 4, class: 'end' }, label),
    ]),
    ...x.ticks.flatMap(({ place, label }) => [
      element('line', { x1: right(place), x2: right(place), y1: down(0), y2: down(0) + 5, class: 'axis' }),
      element('text', { x: right(place), y: down(0) + 18, class: 'middle' }, label),
    ]),
    element('line', { x1: right(0), x2: right(1), y1: down(0), y2: down(0), class: 'axis' }),
    element('text', { x: right(0.5), y: down(0) + 36, class: 'middle' }, escapeText(chart.xLabel)),
    ...chart.series.map((series, i) => drawSeries(series, styleOf(i), toPixel)),
    ...chart.series.map(({ name, markers = true }, i) => {
      const at = { x: MARGIN.left + 12, y: MARGIN.top + AXES_HEIGHT + MARGIN.bottom + i * LEGEND_LINE };
      const ends = [at.x - 14, at.x + 14].map((end) => ({ x: end, y: at.y }));
      const line = drawLine(ends, styleOf(i)) + (markers ? drawMarker(at, styleOf(i)) : '');
      return line + element('text', { x: at.x + 22, y: at.y + 4 }, escapeText(name));
    }),
  ].join('\n');
}

/** Linear from 0, so that a flat line looks flat; logarithmic when it would hide the small values. */
function yScale(values: readonly number[]): Scale {
  const smallest = Math.min(...values);
  const isWide = smallest > 0 && Math.max(...values) / smallest > LINEAR_RANGE;
  return isWide ? logScale([...values, 10 ** Math.floor(Math.log10(smallest))]) : linearScale(values);
}

function styleOf(index: number): Style {
  return STYLES[index % STYLES.length] ?? STYLES[0];
}

function drawSeries({ points, markers = true }: Series, style: Style, toPixel: (point: Point) => Point): string {
  const pixels = points.map(toPixel);
  return drawLine(pixels, style) + (markers ? pixels.map((pixel) => drawMarker(pixel, style)).join('') : '');
}

function drawLine(pixels: readonly Point[], { colour, dash }: Style): string {
  const at = pixels.map(({ x, y }) => `${tenths(x)},${tenths(y)}`).join(' ');
  return element('polyline', { points: at, stroke: colour, ...(dash === '' ? {} : { 'stroke-dasharray': dash }) });
}

function drawMarker({ x, y }: Point, { colour, marker }: Style): string {
  const outline = (points: readonly (readonly [number, number])[]): string =>
    element('polygon', {
      points: points.map(([dx, dy]) => `${tenths(x + dx)},${tenths(y + dy)}`).join(' '),
      fill: colour,
    });
  switch (marker) {
    case 'circle':
      return element('circle', { cx: x, cy: y, r: 3.5, fill: colour });
    case 'square':
      return element('rect', { x: x - 3, y: y - 3, width: 6, height: 6, fill: colour });
    case 'triangle':
      return outline([
        [0, -4],
        [4, 3],
        [-4, 3],
      ]);
    case 'diamond':
      return outline([
        [0, -4.5],
        [4.5, 0],
        [0, 4.5],
        [-4.5, 0],
      ]);
  }
}
