import { optionsOrExit } from '../command-line.ts';
import { startServers } from '../harness/servers.ts';
import { startService } from '../harness/service.ts';
import { LOAD_ENVIRONMENT } from '../load/environment.ts';
import { USAGE, rehearsalOptions } from './options.ts';
import { describeRehearsal } from './report.ts';
import { rehearse } from './run.ts';

// `npm run rehearse` plays the migration to workflows and the way back, under load (docs/how-to/migrate.md).
const { seed, help, ...size } = optionsOrExit(rehearsalOptions, USAGE);
if (help) {
  process.stdout.write(`${USAGE}\n`);
  process.exit(0);
}
const say = (line: string): void => void process.stderr.write(`${line}\n`);
process.exit((await main()) ? 0 : 1);

/** True when no request failed and nothing was lost. */
async function main(): Promise<boolean> {
  const servers = await startServers({ say });
  try {
    const databaseUrl = await servers.createDatabase('rehearsal');
    const service = await startService(
      { databaseUrl, temporalAddress: servers.temporalAddress, name: 'rehearsal' },
      { apis: 2, workers: 2, env: { ...LOAD_ENVIRONMENT, CONVERSATION_PATH: 'direct' } },
    );
    try {
      const report = await rehearse(service, size, seed, say);
      process.stdout.write(`${describeRehearsal(report)}\n`);
      return report.problems.length === 0;
    } finally {
      await service.stop();
    }
  } finally {
    await servers.stop();
  }
}
