import { parseArgs } from 'node:util';
import { startServers } from '../harness/servers.ts';
import { startService } from '../harness/service.ts';
import { renderModelReport, runModel } from './run.ts';

// `npm run mls-model` runs real MLS devices against real processes, one random schedule after the other.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '20' },
    steps: { type: 'string', default: '500' },
    seeds: { type: 'string', default: '20' },
    width: { type: 'string', default: '6' },
    seed: { type: 'string', default: process.env.PARLEY_MODEL_SEED ?? '1' },
  },
});
const [devices, steps, width] = [Number(values.devices), Number(values.steps), Number(values.width)];
const servers = await startServers({ say: (line) => void process.stderr.write(`${line}\n`) });
let isGood = true;
try {
  const databaseUrl = await servers.createDatabase('mls_model');
  const { temporalAddress } = servers;
  const service = await startService({ databaseUrl, temporalAddress, name: 'mls-model' });
  try {
    for (let run = 0; run < Number(values.seeds); run++) {
      const report = await runModel(service, { seed: Number(values.seed) + run, devices, steps, width });
      process.stdout.write(`${renderModelReport(report)}\n`);
      isGood &&= report.problems.length === 0;
    }
  } finally {
    await service.stop();
  }
} finally {
  await servers.stop();
}
process.exit(isGood ? 0 : 1);
