import type pg from 'pg';
import type { LoadResult } from '../load/closed-loop.ts';
import { findInconsistencies } from '../harness/invariants.ts';
import { checkLog } from './check-log.ts';
import type { StressSender } from './sender.ts';
import type { StressService } from './stress-service.ts';

/** The result of a run. */
export interface StressReport {
  readonly name: string;
  readonly seconds: number;
  readonly acknowledged: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** Number of requests that were sent again with the same id. */
  readonly retries: number;
  readonly memoryMb: Readonly<Record<string, number>>;
  /** Messages that were never acknowledged, and faults of the log. Empty = no message was lost or stored twice. */
  readonly problems: readonly string[];
}

/** Checks the log after a run and collects its numbers. */
export async function reportOn(given: {
  readonly name: string;
  readonly service: StressService;
  readonly pool: pg.Pool;
  readonly sender: StressSender;
  readonly conversations: readonly string[];
  readonly result: LoadResult;
}): Promise<StressReport> {
  const { name, service, pool, sender, conversations, result } = given;
  const { p50, p95, p99, max } = result.latency;
  const acknowledged = sender.acknowledged.length;
  return {
    name,
    seconds: result.seconds,
    acknowledged,
    perSecond: acknowledged / result.seconds,
    ...{ p50, p95, p99, max },
    retries: sender.retries(),
    memoryMb: service.memoryMb(),
    problems: [
      ...result.failures,
      ...(await checkLog(pool, conversations, sender.acknowledged)),
      ...(await findInconsistencies(pool)),
    ],
  };
}

/** The report as text. */
export function renderReport(report: StressReport): string {
  const { name, seconds, acknowledged, perSecond, p50, p95, p99, max, retries } = report;
  const memory = Object.entries(report.memoryMb).map(([process, mb]) => `${process} ${mb.toFixed(0)} MB`);
  return [
    name,
    `  ${acknowledged} messages in ${seconds.toFixed(1)} s (${perSecond.toFixed(0)}/s), ${retries} retries`,
    `  latency in ms: p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)}`,
    `  ${memory.join(', ')}`,
    ...(report.problems.length === 0
      ? ['  no message was lost or stored twice']
      : report.problems.map((line) => `  PROBLEM ${line}`)),
  ].join('\n');
}
