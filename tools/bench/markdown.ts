import { own } from '../../domain/own.ts';
import type { Measurement } from './measurement.ts';
import { divide, format, yardstickOf } from './report.ts';

const HEADINGS = [
  'load',
  'contender',
  'messages/s',
  'x plain SQL',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  'workflow %',
  'CPU ms',
];
const PROCESSES = ['api', 'worker', 'temporal', 'restate', 'postgres'];
const KILL_HEADINGS = [
  'contender',
  'acknowledged',
  'repeated',
  'lost',
  'doubled',
  'gaps',
  'positions behind',
  'back after ms',
];
const KILL = ['acknowledged', 'repeated', 'lost', 'doubled', 'gaps', 'positionsBehind', 'backMs'];

/** The medians as Markdown tables for docs/explanation/performance.md. CPU is that of all processes but the generator. */
export function renderMarkdown(medians: readonly Measurement[]): string {
  const timed = medians.filter(({ values }) => values.p50 !== undefined);
  const loads = timed.map(({ load, contender, values }) => [
    load,
    contender,
    format(values.perSecond),
    format(divide(values.perSecond, yardstickOf(medians, load)?.perSecond)),
    ...['p50', 'p95', 'p99', 'share'].map((name) => format(own(values, name))),
    cpuOf(values),
  ]);
  const killed = medians.filter(({ load }) => load === 'kill');
  const kills = killed.map(({ contender, values }) => [contender, ...KILL.map((name) => format(own(values, name)))]);
  return [table(HEADINGS, loads), ...(kills.length === 0 ? [] : [table(KILL_HEADINGS, kills)])].join('\n\n');
}

/** For example `5.2 (api 1.1, postgres 4.1)`. */
function cpuOf(values: Measurement['values']): string {
  const used = PROCESSES.flatMap((name) => {
    const ms = own(values, `cpu.${name}`);
    return ms === undefined || ms < 0.05 ? [] : [{ name, ms }];
  });
  const total = used.reduce((sum, { ms }) => sum + ms, 0);
  return used.length === 0
    ? '-'
    : `${total.toFixed(1)} (${used.map(({ name, ms }) => `${name} ${ms.toFixed(1)}`).join(', ')})`;
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return [headings, headings.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
