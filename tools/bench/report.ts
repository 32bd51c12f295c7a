import type { ContenderName } from './contender.ts';
import type { Measurement } from './measurement.ts';
import type { Target } from './targets.ts';
import { own } from '../../domain/own.ts';

/** The others are compared with this contender, if it was measured. */
const YARDSTICK: ContenderName = 'plain-sql';
const CPU = ['cpu.api', 'cpu.worker', 'cpu.temporal', 'cpu.postgres', 'cpu.load', 'cpu.total'];
const COLUMNS = ['perSecond', 'p50', 'p95', 'p99', 'max', ...CPU];
const HEADINGS = ['load', 'contender', 'msg/s', 'vs plain-sql', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'];
const CPU_HEADINGS = ['cpu ms/msg: api', 'worker', 'temporal', 'postgres', 'generator', 'total'];

/** The medians as a text table. The ratio to plain SQL compares messages/s, or p50 in open loops. Above 1 is better. */
export function renderTable(medians: readonly Measurement[]): string {
  const rows = medians
    .filter(({ values }) => values.p50 !== undefined)
    .map(({ load, contender, values }) => {
      const yardstick = medians.find((one) => one.load === load && one.contender === YARDSTICK)?.values;
      const isOpen = load.startsWith('open');
      const ratio = isOpen ? divide(yardstick?.p50, values.p50) : divide(values.perSecond, yardstick?.perSecond);
      const [perSecond = '', ...rest] = COLUMNS.map((name) => format(own(values, name)));
      return [load, contender, perSecond, format(ratio), ...rest];
    });
  return align([[...HEADINGS, ...CPU_HEADINGS], ...rows]);
}

/** The memory of the workers as a text table. */
export function renderMemory(medians: readonly Measurement[]): string {
  const rows = medians
    .filter(({ load }) => load === 'memory')
    .map(({ contender, values }) => [
      contender,
      ...['conversations', 'beforeMb', 'afterMb', 'mbPerConversation'].map((name) => format(own(values, name))),
    ]);
  if (rows.length === 0) return '';
  return align([['worker of', 'conversations', 'MB before', 'MB after', 'MB per conversation'], ...rows]);
}

/** The memory of an API process with open streams, and the time to deliver messages to them, as a text table. */
export function renderStreams(medians: readonly Measurement[]): string {
  const columns = ['streams', 'beforeMb', 'afterMb', 'kbPerStream', 'heapKbPerStream', 'kbPerStreamBusy', 'arrivalP95'];
  const rows = medians
    .filter(({ load }) => load.startsWith('streams-'))
    .map(({ load, values }) => [load, ...columns.map((name) => format(own(values, name)))]);
  if (rows.length === 0) return '';
  const memory = ['MB before', 'MB after', 'KB per stream', 'KB of heap', 'KB while busy'];
  return align([['load', 'streams', ...memory, 'arrival p95 ms'], ...rows]);
}

/** The messages of the overload case, as a text table: `renderTable` has the accepted ones. */
export function renderOverload(medians: readonly Measurement[]): string {
  const rows = medians
    .filter(({ load }) => load === 'overload')
    .map(({ load, contender, values }) => [load, contender, format(own(values, 'shedPercent'))]);
  return rows.length === 0 ? '' : align([['load', 'contender', '% shed'], ...rows]);
}

/** The targets and whether they were met. */
export function renderTargets(targets: readonly Target[]): string {
  return align(
    targets.map(({ what, value, limit, isMet }) => [what, format(value), `limit ${limit}`, isMet ? 'met' : 'missed']),
  );
}

/** The failed requests. Errors that differ only in an id are counted as one kind. */
export function renderErrors(medians: readonly Measurement[]): string[] {
  return medians.flatMap(({ load, contender, errors }) => {
    const counts = new Map<string, number>();
    for (const error of errors) {
      const kind = error.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '..');
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return [...counts].map(([kind, count]) => `${load}, ${contender}: ${count} x ${kind}`);
  });
}

function divide(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b === 0 ? undefined : a / b;
}

function format(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) =>
        i < 2 && !/^[\d.-]+$/.test(cell) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
      )
      .join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}
