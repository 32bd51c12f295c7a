import { optionsOrExit } from '../command-line.ts';
import { startServers } from '../harness/servers.ts';
import { type RunName, type StressOptions, USAGE, stressOptions } from './options.ts';
import { type StressReport, renderReport } from './report.ts';
import { runMany, runSteady } from './runs.ts';
import { type StressService, startStressService } from './stress-service.ts';

// `npm run stress` runs long loads and compares all acknowledged messages with the log at the end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const RUN: Readonly<Record<RunName, (service: StressService, options: StressOptions) => Promise<StressReport>>> = {
  a: (service, { many }) => runMany(service, many),
  b: (service, { steady, seed }) => runSteady(service, { ...steady, seed }),
};

const options = optionsOrExit(stressOptions, USAGE);
process.exit((await main()) ? 0 : 1);

/** True when nothing was lost. */
async function main(): Promise<boolean> {
  const servers = await startServers({ say: (line) => void process.stderr.write(`${line}\n`) });
  let isGood = true;
  try {
    const databaseUrl = await servers.createDatabase('stress');
    for (const name of options.only) {
      // Each run has its own processes, so that their memory belongs to this run alone.
      const service = await startStressService({
        databaseUrl,
        temporalAddress: servers.temporalAddress,
        serverPids: servers.pids,
      });
      try {
        const report = await RUN[name](service, options);
        process.stdout.write(`${renderReport(report)}\n`);
        isGood &&= report.problems.length === 0;
      } finally {
        await service.stop();
      }
    }
  } finally {
    await servers.stop();
  }
  return isGood;
}
