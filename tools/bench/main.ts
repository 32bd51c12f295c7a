import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { optionsOrExit } from '../command-line.ts';
import { describeMachine } from '../load/machine.ts';
import { renderMarkdown } from './markdown.ts';
import { mediansOf } from './measurement.ts';
import { RESTATE_SERVER_VERSION } from './contenders/restate/version.ts';
import { USAGE, benchOptions } from './options.ts';
import {
  renderErrors,
  renderKill,
  renderMemory,
  renderOverload,
  renderStreams,
  renderTable,
  renderTargets,
  renderVersions,
} from './report.ts';
import { runBench } from './run.ts';
import { judge } from './targets.ts';

// `npm run bench` compares Parley with other ways to build the same service. See README.md in this folder.
const print = (text: string): void => void process.stdout.write(`${text}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const options = optionsOrExit(benchOptions, USAGE);
const startedAt = new Date();
const measurements = await runBench(options, (line) => void process.stderr.write(`${line}\n`));
const medians = mediansOf(measurements);
const targets = judge(medians);
const machine = { ...describeMachine(), restateServer: RESTATE_SERVER_VERSION };
mkdirSync(path.dirname(options.out), { recursive: true });
writeFileSync(
  options.out,
  `${JSON.stringify({ startedAt, endedAt: new Date(), machine, options, targets, medians, measurements }, null, 2)}\n`,
);
const markdown = options.out.replace(/(?:\.json)?$/, '.md');
writeFileSync(markdown, `${renderVersions(machine)}\n\n${renderMarkdown(medians)}\n`);
print(`\n${renderVersions(machine)}\n`);
print(`${renderTable(medians)}\n`);
print(`${renderMemory(medians)}\n`);
print(`${renderStreams(medians)}\n`);
print(`${renderOverload(medians)}\n`);
print(`${renderKill(medians)}\n`);
print(`${renderTargets(targets)}\n`);
const errors = medians.flatMap(({ errors: found }) => found);
for (const line of renderErrors(medians)) print(`ERROR ${line}`);
print(`${errors.length} failed requests. All numbers: ${options.out}`);
process.exit(errors.length === 0 ? 0 : 1);
