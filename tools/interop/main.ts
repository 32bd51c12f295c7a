import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../process/package-root.ts';
import { optionsOrExit, wholeNumber } from '../command-line.ts';
import { startServers } from '../harness/servers.ts';
import { startService } from '../harness/service.ts';
import { buildProgram } from './build.ts';
import { CASES, INTEROP_ENV, runCase } from './cases.ts';
import { Program } from './program.ts';
import { renderWalk, runWalk } from './walk.ts';

const USAGE = `Usage: npm run interop -- [--seed <number>] [--steps <number>] [--suites <numbers>] [--walks]
Puts devices with ts-mls (the client library), OpenMLS and mls-rs into groups of a real service: fixed cases, then random
steps in one group for each cipher suite.
  --seed    of the random steps; the same seed takes the same steps [a random one]
  --steps   for each cipher suite [100]
  --suites  cipher suites, as 1,2,7 [1 to 7]
  --walks   only the random steps`;
const SUITES = [1, 2, 3, 4, 5, 6, 7];

const options = optionsOrExit((args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      steps: { type: 'string' },
      suites: { type: 'string' },
      walks: { type: 'boolean' },
    },
  });
  const suites = values.suites?.split(',').map((each) => wholeNumber(each, 1)) ?? SUITES;
  const unknown = suites.filter((suite) => !SUITES.includes(suite));
  if (unknown.length > 0) throw new Error(`Unknown cipher suites: ${unknown.join(', ')}.`);
  return {
    seed: wholeNumber(values.seed, 1 + Math.floor(Math.random() * 1_000_000)),
    steps: wholeNumber(values.steps, 100),
    suites,
    onlyWalks: values.walks === true,
  };
}, USAGE);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
const say = (line: string): void => void process.stdout.write(`${line}\n`);

say('Building OpenMLS and mls-rs, unless nothing changed. The first time this takes some minutes.');
const program = new Program(await buildProgram(path.join(packageRoot(), '.cache', 'edges')));
const servers = await startServers({ say: (line) => void process.stderr.write(`${line}\n`) });
let isGood = true;
try {
  const databaseUrl = await servers.createDatabase('interop');
  const { temporalAddress } = servers;
  const service = await startService(
    { databaseUrl, temporalAddress, name: 'interop' },
    { apis: 1, workers: 1, env: INTEROP_ENV },
  );
  try {
    for (const name of options.onlyWalks ? [] : CASES.keys()) {
      const problems = await runCase(name, { service, program });
      say(`${name}: ${problems.length === 0 ? 'good' : problems.join('; ')}`);
      isGood &&= problems.length === 0;
    }
    for (const cipherSuite of options.suites) {
      const report = await runWalk(service, program, { ...options, cipherSuite });
      say(renderWalk(report));
      isGood &&= report.problems.length === 0;
    }
  } finally {
    await service.stop();
  }
} finally {
  program.close();
  await servers.stop();
}
if (!isGood) say(`Repeat with: npm run interop -- --seed ${options.seed} --steps ${options.steps}`);
process.exit(isGood ? 0 : 1);
