import { parseArgs } from 'node:util';
import { startServers } from '../load/servers.ts';
import { startModelFleet } from './fleet.ts';
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
const servers = await startServers((line) => void process.stderr.write(`${line}\n`));
let isGood = true;
try {
  const databaseUrl = await servers.createDatabase('mls_model');
  const fleet = await startModelFleet({ databaseUrl, temporalAddress: servers.temporalAddress });
  try {
    for (let run = 0; run < Number(values.seeds); run++) {
      const report = await runModel(fleet, { seed: Number(values.seed) + run, devices, steps, width });
      process.stdout.write(`${renderModelReport(report)}\n`);
      isGood &&= report.problems.length === 0;
    }
  } finally {
    await fleet.stop();
  }
} finally {
  await servers.stop();
}
process.exit(isGood ? 0 : 1);
