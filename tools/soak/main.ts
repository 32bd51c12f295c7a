import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { optionsOrExit } from '../command-line.ts';
import { startServers } from '../harness/servers.ts';
import { startService } from '../harness/service.ts';
import { describeMachine } from '../load/machine.ts';
import { writeFormatted, writePart } from '../plot/page.ts';
import { USAGE, soakOptions } from './options.ts';
import { describeSoak, drawSoak, notFlat } from './report.ts';
import { type SoakReport, runSoak } from './run.ts';

// `npm run soak` runs steady traffic for long, and shows whether anything grows. See README.md in this folder.
const PAGE = 'docs/explanation/curves.md';
const PICTURES = 'docs/explanation/curves';
const options = optionsOrExit(soakOptions, USAGE);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folder = options.docs ? path.join(packageRoot(), PICTURES) : options.out;

// The first signal ends the traffic, the second one everything.
const early = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (early.signal.aborted) process.exit(130);
    say('soak: ending, with a report. Once more ends at once.');
    early.abort();
  });
}
process.exit((await main()) ? 0 : 1);

/** True when all is flat and nothing was lost. */
async function main(): Promise<boolean> {
  const servers = await startServers({ say });
  try {
    const databaseUrl = await servers.createDatabase('soak');
    const { temporalAddress, pids, temporalFile } = servers;
    const service = await startService(
      { databaseUrl, temporalAddress, name: 'soak' },
      { apis: 1, workers: 1, env: { NODE_ENV: 'production', LOG_LEVEL: 'warn' } },
    );
    try {
      const { seed, docs: _docs, out: _out, ...size } = options;
      const given = { service, size, seed, serverPids: pids, temporalFile, say };
      const report = await runSoak({ ...given, signal: early.signal });
      await save(report);
      process.stdout.write(`${describeSoak(report)}\n\nAll numbers and the picture: ${folder}\n`);
      return report.problems.length === 0 && notFlat(report).length === 0;
    } finally {
      await service.stop();
    }
  } finally {
    await servers.stop();
  }
}

async function save(report: SoakReport): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'soak.svg'), drawSoak(report));
  const samples = report.samples.map(({ seconds, values }) => ({ seconds, ...Object.fromEntries(values) }));
  const numbers = { ...report, samples, endedAt: new Date(), machine: describeMachine() };
  await writeFormatted(path.join(folder, 'soak.json'), JSON.stringify(numbers));
  if (options.docs) await writePart(PAGE, 'soak', `![A long run](curves/soak.svg)\n\n${describeSoak(report)}`);
}
