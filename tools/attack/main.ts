import { optionsOrExit } from '../command-line.ts';
import { sleep } from '../load/closed-loop.ts';
import { type Battlefield, startBattlefield } from './battlefield.ts';
import { CASES } from './cases.ts';
import { USAGE, attackOptions } from './options.ts';
import { renderReport, renderSummary, verdictOf } from './report.ts';
import { runCase } from './run-case.ts';

// `npm run attack` runs every known way to hurt others against a service of its own, and looks at what the others notice.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const options = optionsOrExit(attackOptions, USAGE);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
process.exit((await main()) ? 0 : 1);

/** True when every defence held. */
async function main(): Promise<boolean> {
  const chosen = CASES.filter(({ name }) => options.only.includes(name));
  if (options.list) {
    for (const { name, does } of chosen) say(`${name}\n  ${does}`);
    return true;
  }
  const field = await startBattlefield((line) => void process.stderr.write(`${line}\n`));
  try {
    await showBaseline(field);
    const all: { name: string; problems: number }[] = [];
    for (const attack of chosen) {
      const report = await runCase(field, attack);
      const verdict = verdictOf(report, options.judgeLatency);
      say(renderReport(report, verdict));
      all.push({ name: attack.name, problems: verdict.length });
    }
    say(renderSummary(all));
    return all.every(({ problems }) => problems === 0);
  } finally {
    await field.close();
  }
}

/** What bystanders see when nobody attacks: on a machine that others use, this alone may be above the limit. */
async function showBaseline({ bystanders }: Battlefield): Promise<void> {
  bystanders.start();
  await sleep(options.baselineMs);
  const { get, send } = await bystanders.stop();
  say(`without an attack: GET p99 ${get.p99.toFixed(1)} ms, send p99 ${send.p99.toFixed(1)} ms`);
}
