import type { PhaseReport, RehearsalReport, Rollback } from './outcome.ts';

const ms = (value: number): string => `${value.toFixed(0)} ms`;

export function describePhase({ share, latency, retries, direct, workflow }: PhaseReport): string {
  const { count, p50, p95, max } = latency;
  return `${share} %: ${count} requests, p50 ${ms(p50)}, p95 ${ms(p95)}, longest ${ms(max)}, ${retries} sent again; decided: ${direct} direct, ${workflow} by workflows`;
}

export function describeRollback({ answeredMs, appliedMs, drainedMs }: Rollback): string {
  return `Rollback: answered after ${ms(answeredMs)}, in force in every process after ${ms(appliedMs)}, last decision of a workflow after ${ms(drainedMs)}`;
}

/** The report for people. */
export function describeRehearsal({
  phases,
  rollback,
  acknowledged,
  commits,
  problems,
  seed,
}: RehearsalReport): string {
  return [
    `Rehearsal with seed ${seed}: share of the conversations that workflows decide`,
    ...phases.map((phase) => `- ${describePhase(phase)}`),
    describeRollback(rollback),
    `${acknowledged} acknowledged (${commits} commits), each counted again in the log: ${problems.length === 0 ? 'all there, once' : 'PROBLEMS'}`,
    ...problems.map((problem) => `! ${problem}`),
  ].join('\n');
}
