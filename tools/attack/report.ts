import type { Latency } from '../load/histogram.ts';
import type { MemoryUse } from '../load/inspector.ts';
import type { AttackCase, Findings } from './attack-case.ts';
import type { BystanderResult } from './bystander.ts';

/** A bystander waits no longer than this, in 99 of 100 requests (invariant 14). */
const MAX_P99_MS = 50;
/** Memory that caches and pools keep after a case. */
const MAX_KEPT_MB = 64;
const MB = 1024 * 1024;

/** One case, as it went. */
export interface AttackReport {
  readonly attack: AttackCase;
  readonly seconds: number;
  readonly findings: Findings;
  readonly bystanders: BystanderResult;
  readonly memory: { readonly before: MemoryUse; readonly after: MemoryUse; readonly highestMb: number };
  readonly longestStopMs: number | undefined;
  readonly isProcessDead: boolean;
}

/** Everything that must not be, as sentences. Empty = the defence held. */
export function verdictOf(report: AttackReport, judgeLatency: boolean): string[] {
  const { findings, bystanders, memory, isProcessDead } = report;
  const { get, send, errors } = bystanders;
  const kept = (memory.after.heapUsed + memory.after.external - memory.before.heapUsed - memory.before.external) / MB;
  return [
    ...findings.failures,
    ...(isProcessDead ? ['The process ended.'] : []),
    ...(kept > MAX_KEPT_MB && !isProcessDead ? [`After the case ${kept.toFixed(0)} MB more are in use.`] : []),
    ...Object.entries(errors).map(([error, count]) => `${count} requests of bystanders failed: ${error}`),
    ...(judgeLatency ? [...slow('A GET', get), ...slow('A send', send)] : []),
  ];
}

function slow(what: string, { p99 }: Latency): string[] {
  return p99 > MAX_P99_MS ? [`${what} of a bystander took ${p99.toFixed(0)} ms (p99).`] : [];
}

/** The report as text. */
export function renderReport(report: AttackReport, verdict: readonly string[]): string {
  const { attack, seconds, findings, bystanders, memory, longestStopMs } = report;
  const latency = ({ p50, p99, max, count }: Latency): string =>
    `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms (${count} requests)`;
  const mb = ({ rss, heapUsed, external }: MemoryUse): string =>
    `rss ${(rss / MB).toFixed(0)}, heap ${(heapUsed / MB).toFixed(0)}, external ${(external / MB).toFixed(0)} MB`;
  const achieved = Object.entries(findings.achieved).map(([what, count]) => `${what}: ${count}`);
  return [
    `${attack.name} (${seconds.toFixed(1)} s)`,
    `  ${attack.does}`,
    `  work      ${attack.work}`,
    `  answers   ${achieved.join(' · ')}`,
    `  GET       ${latency(bystanders.get)}`,
    `  send      ${latency(bystanders.send)}`,
    `  memory    before ${mb(memory.before)}; highest rss ${memory.highestMb.toFixed(0)} MB; after ${mb(memory.after)}`,
    ...(longestStopMs === undefined
      ? []
      : [`  stop      the event loop stood still for ${longestStopMs.toFixed(0)} ms at most`]),
    ...(verdict.length === 0 ? ['  the defence held'] : verdict.map((line) => `  PROBLEM   ${line}`)),
  ].join('\n');
}

/** One line for each case. */
export function renderSummary(all: readonly { readonly name: string; readonly problems: number }[]): string {
  const lines = all.map(({ name, problems }) => `  ${problems === 0 ? 'held  ' : 'BROKEN'} ${name}`);
  const held = all.filter(({ problems }) => problems === 0).length;
  return [`${held} of ${all.length} defences held`, ...lines].join('\n');
}
