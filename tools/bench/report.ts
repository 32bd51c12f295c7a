import type { ContenderName } from './contender.ts';
import type { Measurement } from './measurement.ts';
import type { Target } from './targets.ts';

/** The contender that the others are compared with, where it took part. */
const YARDSTICK: ContenderName = 'plain-sql';
const CPU = ['cpu.api', 'cpu.worker', 'cpu.temporal', 'cpu.postgres', 'cpu.load', 'cpu.total'];
const COLUMNS = ['perSecond', 'p50', 'p95', 'p99', 'max', ...CPU];
const HEADINGS = ['load', 'contender', 'msg/s', 'x plain', 'p50 ms', 'p95', 'p99', 'max'];
const CPU_HEADINGS = ['api', 'worker', 'temporal', 'postgres', 'load', 'cpu ms/msg'];

/** The medians as a table for people, with the ratio to plain SQL: of messages/s, or in open loops of p50. */
export function renderTable(medians: readonly Measurement[]): string {
  const rows = medians
    .filter(({ values }) => values.p50 !== undefined)
    .map(({ load, contender, values }) => {
      const yardstick = medians.find((one) => one.load === load && one.contender === YARDSTICK)?.values;
      const isOpen = load.startsWith('open');
      const ratio = isOpen ? divide(yardstick?.p50, values.p50) : divide(values.perSecond, yardstick?.perSecond);
      const [perSecond = '', ...rest] = COLUMNS.map((name) => format(values[name]));
      return [load, contender, perSecond, format(ratio), ...rest];
    });
  return align([[...HEADINGS, ...CPU_HEADINGS], ...rows]);
}

/** Memory of the workers. */
export function renderMemory(medians: readonly Measurement[]): string {
  const rows = medians
    .filter(({ load }) => load === 'memory')
    .map(({ contender, values }) => [
      contender,
      ...['conversations', 'beforeMb', 'afterMb', 'mbPerConversation'].map((name) => format(values[name])),
    ]);
  if (rows.length === 0) return '';
  return align([['worker of', 'conversations', 'MB before', 'MB after', 'MB each'], ...rows]);
}

/** Memory of an API process by open streams, and how messages reached them. */
export function renderStreams(medians: readonly Measurement[]): string {
  const columns = ['streams', 'beforeMb', 'afterMb', 'kbPerStream', 'heapKbPerStream', 'kbPerStreamBusy', 'arrivalP95'];
  const rows = medians
    .filter(({ load }) => load.startsWith('streams-'))
    .map(({ load, values }) => [load, ...columns.map((name) => format(values[name]))]);
  if (rows.length === 0) return '';
  return align([['open', 'streams', 'MB before', 'MB after', 'KB each', 'of heap', 'busy', 'arrival p95'], ...rows]);
}

/** What was to be reached, and whether it was. */
export function renderTargets(targets: readonly Target[]): string {
  return align(
    targets.map(({ what, value, limit, isMet }) => [what, format(value), `limit ${limit}`, isMet ? 'met' : 'missed']),
  );
}

/** Failed requests; those that differ in nothing but an id are counted. */
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
