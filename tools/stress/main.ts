import { startServers } from '../harness/servers.ts';
import { type RunName, type StressOptions, USAGE, stressOptions } from './options.ts';
import { type StressReport, renderReport } from './report.ts';
import { runKills, runMany, runSteady } from './runs.ts';
import { type StressService, startStressService } from './stress-service.ts';

// `npm run stress`: long loads, with everything that was acknowledged compared with the log at the end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const RUN: Readonly<Record<RunName, (service: StressService, options: StressOptions) => Promise<StressReport>>> = {
  a: (service, { many }) => runMany(service, many),
  b: (service, { steady, seed }) => runSteady(service, { ...steady, seed }),
  c: (service, { kills, seed }) => runKills(service, { ...kills, seed }),
};

let options: StressOptions;
try {
  options = stressOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exit(2);
}
process.exit((await main()) ? 0 : 1);

/** True when nothing was lost. */
async function main(): Promise<boolean> {
  const servers = await startServers({ say: (line) => void process.stderr.write(`${line}\n`) });
  let isGood = true;
  try {
    const databaseUrl = await servers.createDatabase('stress');
    for (const name of options.only) {
      // Processes of its own for each run, so that its memory is its own.
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
