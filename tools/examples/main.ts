// `npm run examples` records the examples of the API reference from a real service, as docs/reference/api-examples.json.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type AppDeps, makeRoutes } from '../../api/app.ts';
import { EXAMPLES_FILE } from '../../api/reference/examples.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { startServers } from '../harness/servers.ts';
import { startService } from '../harness/service.ts';
import { EXAMPLES_ENV, makeSend, untilHealthy } from './recorder.ts';
import { runScenario } from './scenario.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const cleanup = createCleanup();
try {
  const servers = await startServers({ say, durable: false });
  cleanup.add('servers', servers.stop);
  const databaseUrl = await servers.createDatabase('examples');
  const { temporalAddress } = servers;
  const service = await startService(
    { databaseUrl, temporalAddress, name: 'examples' },
    { apis: 1, workers: 1, env: EXAMPLES_ENV },
  );
  cleanup.add('service', service.stop);
  const [url = ''] = service.urls();
  await untilHealthy(url);
  const routes = makeRoutes({ docsFolder: '', version: '' } as AppDeps);
  const run = await runScenario(makeSend(routes, { url, token: service.token }));
  const file = path.join(packageRoot(), 'docs', EXAMPLES_FILE);
  writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
  say(`${run.length} requests: ${file}`);
} finally {
  await cleanup.run();
}
