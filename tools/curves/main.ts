import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { optionsOrExit } from '../command-line.ts';
import { startServers } from '../harness/servers.ts';
import { describe } from '../load/closed-loop.ts';
import { describeMachine } from '../load/machine.ts';
import { writeFormatted, writePart } from '../plot/page.ts';
import { CASES, SHARDS } from './cases.ts';
import type { Curve } from './curve.ts';
import { USAGE, curveOptions } from './options.ts';
import { describeCurve, drawCurve, unexplained } from './report.ts';
import { inWorld } from './world.ts';

// `npm run curves` measures what things cost against how many there are. See README.md in this folder.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const PAGE = 'docs/explanation/curves.md';
const PICTURES = 'docs/explanation/curves';
const options = optionsOrExit(curveOptions, USAGE);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folder = options.docs ? path.join(packageRoot(), PICTURES) : options.out;
process.exit((await main()) ? 0 : 1);

/** True when nothing failed, and nothing bends up without a reason. */
async function main(): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  const servers = await startServers({ say });
  let isGood = true;
  try {
    for (const name of options.only) {
      const measure = name === SHARDS.name ? SHARDS.measure : CASES.get(name);
      if (measure === undefined) continue;
      const startedAt = new Date();
      try {
        const { quick, turns } = options;
        const curve = await inWorld({ quick, turns, servers, say }, measure);
        await save(curve, startedAt);
        process.stdout.write(`\n# ${curve.title}\n\n${describeCurve(curve)}\n`);
        const bent = unexplained(curve);
        for (const { name: line, measure: unit } of bent) process.stdout.write(`BENDS UP ${name}: ${line} (${unit})\n`);
        for (const error of curve.errors) process.stdout.write(`ERROR ${error}\n`);
        isGood &&= curve.errors.length === 0 && bent.length === 0;
      } catch (error) {
        isGood = false;
        process.stdout.write(`ERROR ${name}: ${describe(error)}\n`);
      }
    }
  } finally {
    await servers.stop();
  }
  process.stdout.write(`\nAll numbers and pictures: ${folder}\n`);
  return isGood;
}

async function save(curve: Curve, startedAt: Date): Promise<void> {
  const { name, title, xLabel, lines, notes, errors } = curve;
  await writeFile(path.join(folder, `${name}.svg`), drawCurve(curve));
  const { turns, quick } = options;
  const numbers = {
    name,
    title,
    xLabel,
    lines,
    notes,
    errors,
    turns,
    quick,
    startedAt,
    endedAt: new Date(),
    machine: describeMachine(),
  };
  await writeFormatted(path.join(folder, `${name}.json`), JSON.stringify(numbers));
  if (options.docs) await writePart(PAGE, name, `![${title}](curves/${name}.svg)\n\n${describeCurve(curve)}`);
}
