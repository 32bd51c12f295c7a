import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { packageRoot } from '../../../process/package-root.ts';
import type { ChaosReport } from '../run.ts';
import { faultsTable } from './faults-table.ts';
import { renderPicture } from './picture.ts';
import { asMarkdown } from './table.ts';
import { renderVerdict } from './text.ts';

const PAGE = path.join('docs', 'explanation', 'chaos.md');
const PICTURE = path.join('docs', 'explanation', 'chaos.svg');
/** The page has the report between these two. */
const BEGIN = '<!-- report: written by npm run chaos -- --docs -->';
const END = '<!-- end of the report -->';

/** Writes the table and the picture into the page about faults. */
export async function writeDocs(report: ChaosReport): Promise<void> {
  const file = path.join(packageRoot(), PAGE);
  const page = readFileSync(file, 'utf8');
  const [before, rest = ''] = page.split(BEGIN);
  const [, after] = rest.split(END);
  if (before === undefined || after === undefined) throw new Error(`${PAGE} has no place for the report`);
  const { seed, path: way, leftOut, machine, startedAt } = report;
  const text = [
    `\`npm run chaos -- --minutes ${Math.round(report.seconds / 60)} --seed ${seed} --path ${way}\`, ${startedAt.slice(0, 10)}, ${String(machine.cores)} cores, Node ${String(machine.node)}.`,
    renderVerdict(report),
    asMarkdown(faultsTable(report)),
    '![The run as a timeline](chaos.svg)',
    leftOut.length === 0 ? 'No fault was left out.' : `Left out on this machine: ${leftOut.join('; ')}.`,
  ].join('\n\n');
  const options = (await resolveConfig(file)) ?? {};
  const whole = `${before}${BEGIN}\n\n${text}\n\n${END}${after}`;
  writeFileSync(file, await format(whole, { ...options, parser: 'markdown' }));
  writeFileSync(path.join(packageRoot(), PICTURE), renderPicture(report));
}
