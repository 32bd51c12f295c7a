import { Agent, request } from 'node:http';
import { startInProcessApi } from '../harness/in-process-api.ts';
import { startServers } from '../harness/servers.ts';
import { tokenOf } from '../harness/tokens.ts';
import { makePool } from '../../store/pool.ts';
import { type CostCase, USER, makeCases } from './cases.ts';

// `npm run cost:requests` measures the CPU time that requests take from this process: the API on its direct path, without Postgres.
// api/http/request-cost.ts has the weights that follow from it, docs/explanation/limits.md the table.

/** Share of the requests that only warm up. */
const WARM_UP = 0.3;

const servers = await startServers({ say: () => undefined, durable: false });
const pool = makePool({ url: await servers.createDatabase('costs'), max: 4, name: 'costs' });
try {
  const service = await startInProcessApi(pool);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const token = await tokenOf(USER);
  const once = (what: string, body: string | undefined): Promise<number> => {
    const [method = '', path = ''] = what.split(' ');
    return new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      };
      request(`${service.url}${path}`, { method, headers, agent }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode ?? 0));
      })
        .once('error', reject)
        .end(body);
    });
  };
  const measure = async ({
    what,
    body,
    times,
  }: CostCase): Promise<{ ms: number; bytes: number; statuses: number[] }> => {
    const bodies = Array.from({ length: times }, () => body?.());
    for (const one of bodies.splice(0, Math.ceil(times * WARM_UP))) await once(what, one);
    const statuses = new Set<number>();
    const before = process.cpuUsage();
    for (const one of bodies) statuses.add(await once(what, one));
    const { user, system } = process.cpuUsage(before);
    return { ms: (user + system) / 1000 / bodies.length, bytes: bodies[0]?.length ?? 0, statuses: [...statuses] };
  };

  const lines = ['| request | body, KB | CPU, ms | answer |', '| --- | ---: | ---: | --- |'];
  let nothing = 0;
  for (const one of await makeCases(service, pool)) {
    const { ms, bytes, statuses } = await measure(one);
    if (one.name === 'nothing') nothing = ms;
    // The client is in this process, too. What it costs is measured by a request for nothing.
    const own = one.name === 'nothing' ? ms : ms - nothing;
    lines.push(`| ${one.name} | ${(bytes / 1000).toFixed(1)} | ${own.toFixed(2)} | ${statuses.join(', ')} |`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  agent.destroy();
  await service.close();
} finally {
  await pool.end();
  await servers.stop();
}
