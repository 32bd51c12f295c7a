import { LEFT_OUT } from './findings.ts';
import type { ImportReport } from './run.ts';

/** Whether everything is in Parley, as often as it should be. */
export function isComplete({ findings, check }: ImportReport): boolean {
  const leftOut = findings.some(({ finding }) => LEFT_OUT.includes(finding));
  return !leftOut && (check === undefined || check.entries === check.stored);
}

/** The report for people. */
export function describeReport(report: ImportReport): string {
  const { dryRun, seconds, imported, replaced, unchanged, leftOut, check } = report;
  const verb = dryRun ? 'would be ' : '';
  const lines = [
    dryRun ? 'Dry run: nothing was written.' : `Done in ${seconds.toFixed(1)} s.`,
    `Conversations: ${imported} ${verb}imported, ${replaced} ${verb}replaced because they changed, ${unchanged} unchanged, ${leftOut} left out.`,
    `In them: ${report.entries} entries (${megabytes(report.bytes)}), ${report.members} members, ${report.welcomes} Welcomes.`,
    `Beside them: ${report.devices} devices, ${report.keyPackages} key packages.`,
  ];
  if (report.findings.length > 0) lines.push('', 'Found:');
  for (const { count, meaning, examples } of report.findings) {
    lines.push(`- ${count}: ${meaning}.`, `    for example ${examples.join(', ')}`);
  }
  const rest = Object.entries(report.notCarried).filter(([, rows]) => rows !== 0);
  if (rest.length > 0) {
    const tables = rest.map(([table, rows]) => (rows < 0 ? table : `${table} (about ${rows})`));
    lines.push('', `Not carried: ${tables.join(', ')}.`);
  }
  if (check !== undefined) {
    const { conversations, entries, stored } = check;
    const verdict = entries === stored ? 'all are there' : `${stored} ARE THERE`;
    lines.push('', `Counted again: ${conversations} imported conversations with ${entries} entries, ${verdict}.`);
  }
  return lines.join('\n');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
