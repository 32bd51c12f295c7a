import { writeFileSync } from 'node:fs';
import { optionsOrExit } from '../command-line.ts';
import { FAULTS } from './faults.ts';
import { USAGE, chaosOptions } from './options.ts';
import { writeDocs } from './report/docs.ts';
import { renderPicture } from './report/picture.ts';
import { renderReport } from './report/text.ts';
import { runChaos } from './run.ts';

// `npm run chaos` has one fault after another under load, and counts again at the end all that was acknowledged.
// The first Ctrl-C ends the faults and has everything counted; the second one ends the process.
let isInterrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (isInterrupted) process.exit(130);
    isInterrupted = true;
    process.stderr.write('after this fault everything is counted\n');
  });
}

const options = optionsOrExit(chaosOptions, USAGE);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
process.exit((await main()) ? 0 : 1);

/** True when nothing was lost and everything recovered. */
async function main(): Promise<boolean> {
  const faults = FAULTS.filter(({ name }) => options.only.includes(name));
  if (options.list) {
    for (const { name, does, onlyByName = false } of FAULTS)
      say(`${name}${onlyByName ? ' (only by name)' : ''}\n  ${does}`);
    return true;
  }
  const report = await runChaos({
    ...options,
    faults,
    say: (line) => void process.stderr.write(`${line}\n`),
    isInterrupted: () => isInterrupted,
  });
  say(renderReport(report));
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    writeFileSync(options.json.replace(/(?:\.json)?$/, '.svg'), renderPicture(report));
  }
  if (options.docs) await writeDocs(report);
  return report.problems.length === 0;
}
