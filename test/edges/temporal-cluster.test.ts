import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { asAdmin } from '../../local/database-copy.ts';
import { createDatabase } from '../../tools/harness/databases.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { type Service, startService } from '../../tools/harness/service.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { type TemporalCluster, startTemporalCluster } from '../../tools/harness/temporal-cluster.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { findLost, sendThrough } from '../harness/send-through.ts';

const SENDERS = 20;

const server = edgeTool('temporal-server') ?? '';
const sqlTool = edgeTool('temporal-sql-tool') ?? '';

describe.skipIf(server === '' || sqlTool === '')('Temporal as a cluster of two server processes', () => {
  const cleanup = createCleanup();
  let cluster: TemporalCluster;
  let balancer: TcpProxy;
  let service: Service;

  beforeAll(async () => {
    cluster = await startTemporalCluster({
      server,
      sqlTool,
      roles: [
        ['frontend', 'history', 'matching', 'worker'],
        ['frontend', 'history', 'matching', 'worker'],
      ],
      shards: 512,
      say: (line) => void process.stderr.write(`${line}\n`),
    });
    cleanup.add('cluster', cluster.stop);
    // Stands for the load balancer before the frontends.
    balancer = await startTcpProxy(cluster.nodes[0]?.address ?? '');
    cleanup.add('balancer', balancer.close);
    const name = `parley_cluster_${process.pid}`;
    const databaseUrl = await createDatabase(inject('postgresUrl'), name);
    cleanup.add('database', () =>
      asAdmin(inject('postgresUrl'), async (client) => {
        await client.query(`drop database ${name} with (force)`);
      }),
    );
    service = await startService(
      { databaseUrl, temporalAddress: balancer.address, name: 'cluster' },
      { apis: 1, workers: 1 },
    );
    cleanup.add('service', service.stop);
  });
  afterAll(() => cleanup.run());

  const decided = async (path: 'workflow' | 'direct'): Promise<number> => {
    const text = await (await fetch(`${service.urls()[0] ?? ''}/metrics`)).text();
    const lines = text.matchAll(/^parley_operations_total\{(?<labels>[^}]*)\} (?<count>\d+)$/gm);
    return [...lines]
      .filter(({ groups }) => groups?.labels?.includes(`path="${path}"`))
      .reduce((sum, { groups }) => sum + Number(groups?.count), 0);
  };

  const workflowDecidesAgain = async (): Promise<number> => {
    const startedAt = performance.now();
    const before = await decided('workflow');
    await waitUntil(async () => (await decided('workflow')) > before + SENDERS, {
      what: 'the workflow path decides',
      timeoutMs: 120_000,
    });
    return performance.now() - startedAt;
  };

  test('each of them may be killed under load: no request fails, nothing is lost, and the workflow path comes back', async () => {
    const load = await sendThrough(service.urls()[0] ?? '', () => service.token('alice'), SENDERS);
    await workflowDecidesAgain();
    const times: string[] = [];
    for (const [killed, other] of [
      [1, 0],
      [0, 1],
    ] as const) {
      await cluster.nodes[killed]?.kill9();
      // The balancer sees at its next check that the node is gone.
      balancer.retarget(cluster.nodes[other]?.address ?? '');
      times.push(`node ${killed} killed: workflow path again after ${Math.round(await workflowDecidesAgain())} ms`);
      await cluster.nodes[killed]?.start();
    }
    const { failures, acknowledged } = await load.stop();
    process.stderr.write(`${times.join('\n')}\n${acknowledged.length} messages acknowledged\n`);
    expect(failures).toEqual([]);
    expect(await findLost(service.pool, acknowledged)).toEqual([]);
    for (const conversation of load.conversations) await checkInvariants(service.pool, conversation);
  });
});
