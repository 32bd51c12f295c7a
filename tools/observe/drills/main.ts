import { parseArgs } from 'node:util';
import path from 'node:path';
import { packageRoot } from '../../../process/package-root.ts';
import { chooseNames, optionsOrExit, wholeNumber } from '../../command-line.ts';
import { EDGE_TOOLS } from '../../edges/catalogue.ts';
import { installTool } from '../../edges/installers.ts';
import { DRILLS } from './all.ts';
import { runDrills } from './run.ts';

// `npm run drills` has real faults make every alert fire that can fire within minutes, and silent again afterwards.
const USAGE = 'npm run drills -- [--only drill,drill] [--seed N]';
const names = DRILLS.map(({ name }) => name);
const options = optionsOrExit((args) => {
  const { values } = parseArgs({ args: [...args], options: { only: { type: 'string' }, seed: { type: 'string' } } });
  return { only: chooseNames(values.only, names, names), seed: wholeNumber(values.seed, Date.now() % 1_000_000) };
}, USAGE);

const folder = path.join(packageRoot(), '.cache', 'edges');
const install = async (name: string): Promise<string> => {
  const tool = EDGE_TOOLS.find((one) => one.name === name);
  if (tool === undefined) throw new Error(`No tool ${name}`);
  return installTool(tool, folder);
};
process.env.FAKETIME_LIBRARY ??= await install('libfaketime');
const { falseAlarms, results, leftOut } = await runDrills({
  drills: DRILLS.filter(({ name }) => options.only.includes(name)),
  binary: await install('prometheus'),
  seed: options.seed,
  say: (line) => void process.stdout.write(`${line}\n`),
});
for (const line of leftOut) process.stdout.write(`LEFT OUT: ${line}\n`);
const isGood =
  falseAlarms.length === 0 &&
  results.every(({ fired, stayed }) => stayed.length === 0 && [...fired.values()].every((at) => at !== undefined));
process.exit(isGood ? 0 : 1);
