import type { ContenderName } from './contender.ts';
import type { Measurement } from './measurement.ts';
import type { Target } from './targets.ts';
import { own } from '../../domain/own.ts';

/** The others are compared with this contender, if it was measured. */
const YARDSTICK: ContenderName = 'plain-sql';
/** Processes whose CPU times have a column, in this order. A process that no contender has is left out. */
const CPU = ['api', 'worker', 'temporal', 'restate', 'postgres', 'load', 'total'];
const COLUMNS = ['perSecond', 'p50', 'p95', 'p99', 'max', 'share'];
const HEADINGS = ['load', 'contender', 'msg/s', 'vs plain-sql', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'workflow %'];

/** One line with everything whose version decides a number. */
export function renderVersions(machine: {
  readonly node: string;
  readonly temporalCli: string;
  readonly restateServer: string;
  readonly packages: Readonly<Record<string, string>>;
}): string {
  const { node, temporalCli, restateServer, packages } = machine;
  const named = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return [`Node ${node}`, `Temporal CLI ${temporalCli}`, `Restate server ${restateServer}`, ...named].join(', ');
}

/** The medians as a text table. The ratio to plain SQL compares messages/s, or p50 in open loops. Above 1 is better. */
export function renderTable(medians: readonly Measurement[]): string {
  const timed = medians.filter(({ values }) => values.p50 !== undefined);
  const cpu = CPU.filter((name) => timed.some(({ values }) => Object.hasOwn(values, `cpu.${name}`)));
  const rows = timed.map(({ load, contender, values }) => {
    const yardstick = yardstickOf(medians, load);
    const isOpen = load.startsWith('open');
    const ratio = isOpen ? divide(yardstick?.p50, values.p50) : divide(values.perSecond, yardstick?.perSecond);
    const [perSecond = '', ...rest] = COLUMNS.map((name) => format(own(values, name)));
    return [
      load,
      contender,
      perSecond,
      format(ratio),
      ...rest,
      ...cpu.map((name) => format(own(values, `cpu.${name}`))),
    ];
  });
  const [first = '', ...others] = cpu.map((name) => (name === 'load' ? 'generator' : name));
  return align([[...HEADINGS, `cpu ms/msg: ${first}`, ...others], ...rows]);
}

/** What was lost when all processes of a contender were killed, as a text table. */
export function renderKill(medians: readonly Measurement[]): string {
  const columns = ['acknowledged', 'repeated', 'lost', 'doubled', 'gaps', 'positionsBehind', 'backMs'];
  const rows = medians
    .filter(({ load }) => load === 'kill')
    .map(({ load, contender, values }) => [load, contender, ...columns.map((name) => format(own(values, name)))]);
  if (rows.length === 0) return '';
  const headings = [
    'acknowledged',
    'repeated',
    'lost',
    'doubled',
    'seq gaps',
    'read positions behind',
    'back after ms',
  ];
  return align([['load', 'contender', ...headings], ...rows]);
}

/** The numbers of plain SQL for a load. */
export function yardstickOf(medians: readonly Measurement[], load: string): Measurement['values'] | undefined {
  return medians.find((one) => one.load === load && one.contender === YARDSTICK)?.values;
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

/** Undefined when there is nothing to divide. */
export function divide(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b === 0 ? undefined : a / b;
}

/** Three digits, or `-` for what was not measured. */
export function format(value: number | undefined): string {
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
