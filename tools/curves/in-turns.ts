import { own } from '../../domain/own.ts';
import { describe } from '../load/closed-loop.ts';
import { type LatencyRecorder, makeLatencyRecorder } from '../load/histogram.ts';
import { type CpuTimes, cpuBetween, cpuTimes } from '../load/process-stats.ts';
import type { CurveLine } from './curve.ts';

/** Something that is done again and again at one size. */
export interface Job {
  /** Name of its line. */
  readonly line: string;
  readonly x: number;
  /** Processes that work for it, by name. */
  readonly pids: Readonly<Record<string, number>>;
  readonly run: () => Promise<unknown>;
  /** How many things one run handles: its cost is divided by them. @default 1 */
  readonly units?: number;
  /** Runs at the same time. @default 1 */
  readonly senders?: number;
}

export interface Turns {
  /** How often each job has its turn, without a first one that is not counted. */
  readonly rounds: number;
  readonly sliceMs: number;
}

interface Measured {
  readonly latency: LatencyRecorder;
  readonly rounds: Round[];
}

/** One slice of a job. */
interface Round {
  /** CPU ms by process. */
  readonly cpu: CpuTimes;
  readonly units: number;
}

/**
 * Gives each job a slice of time in turn, forwards and backwards, so that other load on the machine and its drift disturb all
 * sizes equally.
 * @returns for each line its CPU ms (of the middle half of the rounds) and its latency, and the errors
 */
export async function measureInTurns(
  jobs: readonly Job[],
  { rounds, sliceMs }: Turns,
): Promise<{ readonly lines: CurveLine[]; readonly errors: string[] }> {
  const measured = jobs.map((): Measured => ({ latency: makeLatencyRecorder(), rounds: [] }));
  const errors: string[] = [];
  for (let round = 0; round <= rounds; round++) {
    const order = [...jobs.entries()];
    for (const [i, job] of round % 2 === 0 ? order : order.reverse()) {
      const into = measured[i];
      if (into === undefined) continue;
      try {
        await runSlice(job, round === 0 ? sliceMs / 2 : sliceMs, round === 0 ? undefined : into);
      } catch (error) {
        errors.push(`${job.line} at ${job.x}: ${describe(error)}`);
      }
    }
  }
  return { lines: linesOf(jobs, measured), errors };
}

async function runSlice(
  { pids, run, units = 1, senders = 1 }: Job,
  ms: number,
  into: Measured | undefined,
): Promise<void> {
  const before = cpuTimes(pids);
  const end = performance.now() + ms;
  let count = 0;
  const work = async (): Promise<void> => {
    do {
      const from = performance.now();
      await run();
      into?.latency.record(performance.now() - from);
      count++;
    } while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: senders }, work));
  into?.rounds.push({ cpu: cpuBetween(before, cpuTimes(pids)), units: count * units });
}

function linesOf(jobs: readonly Job[], measured: readonly Measured[]): CurveLine[] {
  const names = [...new Set(jobs.map(({ line }) => line))];
  return names.flatMap((name): CurveLine[] => {
    const ofLine = jobs.flatMap((job, i) => (job.line === name ? [{ job, ...measuredAt(measured, i) }] : []));
    const latencies = ofLine.map(({ job: { units = 1 }, latency }) => latency.summary().p50 / units);
    const cpu = ofLine.flatMap(({ job: { x }, rounds }) => {
      const parts = costOfOne(rounds);
      const y = Object.values(parts).reduce((sum, ms) => sum + ms, 0);
      return rounds.length === 0 ? [] : [{ x, y, parts }];
    });
    const ratios = ofLine.map(({ job: { x } }, i) => ({ x, y: (latencies[i] ?? 0) / (latencies[0] ?? 1), parts: {} }));
    return [
      { name, measure: 'CPU ms', points: cpu },
      { name, measure: 'latency, first = 1', points: ratios },
    ];
  });
}

function measuredAt(measured: readonly Measured[], i: number): Measured {
  return measured[i] ?? { latency: makeLatencyRecorder(), rounds: [] };
}

/** CPU ms of one unit by process, without the quarters of the rounds in which it cost least and most. */
function costOfOne(rounds: readonly Round[]): CpuTimes {
  const perUnit = ({ cpu, units }: Round): number => Object.values(cpu).reduce((sum, ms) => sum + ms, 0) / units;
  const left = Math.floor(rounds.length / 4);
  const kept = rounds.toSorted((a, b) => perUnit(a) - perUnit(b)).slice(left, rounds.length - left);
  const units = kept.reduce((sum, round) => sum + round.units, 0);
  const names = [...new Set(kept.flatMap(({ cpu }) => Object.keys(cpu)))];
  return Object.fromEntries(
    names.map((name) => [name, kept.reduce((sum, { cpu }) => sum + (own(cpu, name) ?? 0), 0) / units]),
  );
}
