import type { ChaosReport } from '../run.ts';
import { faultsTable } from './faults-table.ts';
import { asColumns } from './table.ts';

/** The report for the terminal. */
export function renderReport(report: ChaosReport): string {
  const { leftOut, problems } = report;
  return [
    asColumns(faultsTable(report)),
    '',
    renderVerdict(report),
    ...leftOut.map((line) => `LEFT OUT on this machine: ${line}`),
    ...(problems.length === 0
      ? ['nothing was lost, doubled, reordered or miscounted, and everything recovered']
      : problems.map((problem) => `PROBLEM ${problem}`)),
    `again with: npm run chaos -- --seed ${report.seed} --path ${report.path}`,
  ].join('\n');
}

/** What was counted again, in a sentence. */
export function renderVerdict({ seconds, impacts, verdict, skipped, reconnects }: ChaosReport): string {
  const { acknowledged, increments, claims, streamed, orphans, supervised } = verdict;
  return (
    `${impacts.length} faults in ${(seconds / 60).toFixed(1)} minutes; ` +
    `${acknowledged} acknowledged entries, ${increments} in increments, ${claims} key packages and ` +
    `${streamed} streamed entries were counted again. ` +
    `Streams connected ${reconnects} times again, clients skipped ${skipped} operations, ` +
    `${orphans} staged rows were left to the sweep, and the supervisor replaced ${supervised} runs.`
  );
}
