import type { LoadResult } from '../load/closed-loop.ts';
import { median } from '../load/histogram.ts';
import type { CpuTimes } from '../load/process-stats.ts';
import { cpuBetween, cpuTimes } from '../load/process-stats.ts';
import type { ContenderName } from './contender.ts';
import { own } from '../../domain/own.ts';

/** The result of one load on one contender. */
export interface Measurement {
  /** Name of the load, for example `hot-256`. */
  readonly load: string;
  readonly contender: ContenderName;
  /** Numbers by name: perSecond, p50, p95, p99, max (ms), cpu.<process> (ms per message), ... */
  readonly values: Readonly<Record<string, number>>;
  readonly errors: readonly string[];
}

/** Reads CPU times at the start and the end of a measurement. */
export interface CpuMeter {
  readonly onStart: () => void;
  readonly onEnd: () => void;
  readonly used: () => CpuTimes;
}

/** A meter for processes. */
export function makeCpuMeter(pids: Readonly<Record<string, number>>): CpuMeter {
  let before: CpuTimes = {};
  let after: CpuTimes = {};
  return {
    onStart: () => {
      before = cpuTimes(pids);
    },
    onEnd: () => {
      after = cpuTimes(pids);
    },
    used: () => cpuBetween(before, after),
  };
}

/** Turns the result of a load into numbers by name. */
export function toMeasurement(
  load: string,
  contender: ContenderName,
  { seconds, latency, failures }: LoadResult,
  cpu: CpuTimes = {},
): Measurement {
  const { count, ...latencies } = latency;
  const perMessage = Object.entries(cpu).map(([name, ms]) => [`cpu.${name}`, ms / Math.max(1, count)] as const);
  const total = perMessage.reduce((sum, [, ms]) => sum + ms, 0);
  return {
    load,
    contender,
    values: {
      perSecond: count / seconds,
      ...latencies,
      ...Object.fromEntries(perMessage),
      ...(perMessage.length === 0 ? {} : { 'cpu.total': total }),
    },
    errors: failures,
  };
}

/** One measurement for each load and contender: the median of each number over the repeats, and all errors. */
export function mediansOf(measurements: readonly Measurement[]): Measurement[] {
  const same = (a: Measurement) => (b: Measurement) => a.load === b.load && a.contender === b.contender;
  const firsts = measurements.filter((one, i) => measurements.findIndex(same(one)) === i);
  return firsts.map((first) => {
    const group = measurements.filter(same(first));
    const names = new Set(group.flatMap(({ values }) => Object.keys(values)));
    const middle = (name: string): number => median(group.flatMap(({ values }) => own(values, name) ?? []));
    const values = Object.fromEntries([...names].map((name) => [name, middle(name)]));
    return { ...first, values, errors: group.flatMap(({ errors }) => errors) };
  });
}
