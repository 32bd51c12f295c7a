import type { ChaosReport } from '../run.ts';
import type { Step } from '../timeline.ts';

const WIDTH = 1100;
const LEFT = 90;
const RIGHT = 20;
const FAULTS_TOP = 30;
const ROW = 13;
const PLOT = 80;
const SPACE = 36;

/** A plot of one number over time. */
interface Plot {
  readonly title: string;
  readonly color: string;
  readonly value: (step: Step) => number | undefined;
  readonly unit: string;
  /** @default the largest value */
  readonly max?: number;
}

/** The run as an SVG picture: time from left to right, the faults as bars, and below them what clients noticed. */
export function renderPicture({ impacts, timeline, seed, path }: ChaosReport): string {
  const { steps, stepMs, from } = timeline;
  const totalMs = steps.length * stepMs;
  const x = (at: number): number => round(LEFT + ((at - from) / totalMs) * (WIDTH - LEFT - RIGHT));
  const perSecond = 1000 / stepMs;
  const plots: readonly Plot[] = [
    { title: 'messages', unit: '/s', color: '#2a7', value: ({ messages }) => messages * perSecond },
    { title: 'commits', unit: '/s', color: '#27a', value: ({ commits }) => commits * perSecond },
    { title: 'failed tries', unit: '/s', color: '#c33', value: ({ failed }) => failed * perSecond },
    {
      title: 'workflow share',
      unit: ' %',
      color: '#85a',
      max: 100,
      value: ({ workflowShare }) => (workflowShare === undefined ? undefined : workflowShare * 100),
    },
  ];
  const names = [...new Set(impacts.map(({ fault }) => fault))];
  const plotsTop = FAULTS_TOP + names.length * ROW + SPACE;
  const height = plotsTop + plots.length * (PLOT + SPACE);
  const bars = impacts.flatMap(({ fault, injectedAt, healedAt, readyAt, workflowAt, answeredAt }) => {
    const y = FAULTS_TOP + names.indexOf(fault) * ROW;
    const recovered = Math.max(...[readyAt, workflowAt, answeredAt].map((at) => at ?? healedAt));
    return [
      rectangle(x(injectedAt), y, x(healedAt) - x(injectedAt), ROW - 3, '#c33'),
      rectangle(x(healedAt), y, x(recovered) - x(healedAt), ROW - 3, '#ea5'),
      text(x(recovered) + 4, y + ROW - 5, fault),
    ];
  });
  const shades = impacts.map(({ injectedAt, healedAt }) =>
    rectangle(x(injectedAt), plotsTop - SPACE / 2, x(healedAt) - x(injectedAt), height - plotsTop, '#c33', 0.07),
  );
  const drawn = plots.flatMap((plot, i) =>
    drawPlot(plot, steps, plotsTop + i * (PLOT + SPACE), (n) => x(from + (n + 0.5) * stepMs)),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="10">`,
    rectangle(0, 0, WIDTH, height, '#fff'),
    text(
      LEFT,
      16,
      `path ${path}, seed ${seed}, ${Math.round(totalMs / 1000)} s. Red: the fault; orange: until all has recovered`,
    ),
    ...bars,
    ...shades,
    ...drawn,
    ...timeMarks(totalMs, (ms) => x(from + ms), height),
    '</svg>\n',
  ].join('\n');
}

function drawPlot(plot: Plot, steps: readonly Step[], top: number, x: (step: number) => number): string[] {
  const values = steps.map(plot.value);
  const max = plot.max ?? Math.max(1, ...values.map((value) => value ?? 0));
  const y = (value: number): number => round(top + PLOT - (value / max) * PLOT);
  const points = values.flatMap((value, i) => (value === undefined ? [] : [`${x(i)},${y(value)}`]));
  return [
    text(4, top + 10, plot.title),
    text(4, top + 24, `to ${Math.round(max)}${plot.unit}`),
    `<line x1="${LEFT}" y1="${top + PLOT}" x2="${WIDTH - RIGHT}" y2="${top + PLOT}" stroke="#999"/>`,
    `<polyline fill="none" stroke="${plot.color}" points="${points.join(' ')}"/>`,
  ];
}

/** Every tenth part of the time, in whole seconds. */
function timeMarks(totalMs: number, x: (ms: number) => number, height: number): string[] {
  const step = Math.max(1, Math.round(totalMs / 10_000));
  const count = Math.floor(totalMs / 1000 / step);
  return Array.from({ length: count }, (_, i) => text(x((i + 1) * step * 1000), height - 4, `${(i + 1) * step} s`));
}

function rectangle(x: number, y: number, width: number, height: number, color: string, opacity = 1): string {
  return `<rect x="${x}" y="${y}" width="${round(Math.max(1, width))}" height="${height}" fill="${color}" opacity="${opacity}"/>`;
}

function text(x: number, y: number, content: string): string {
  return `<text x="${x}" y="${y}" fill="#333">${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
