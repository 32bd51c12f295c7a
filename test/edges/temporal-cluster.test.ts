import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { asAdmin, createDatabase } from '../../tools/harness/databases.ts';
import { createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import { type Service, startService } from '../../tools/harness/service.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { type TemporalCluster, startTemporalCluster } from '../../tools/harness/temporal-cluster.ts';
import { spend, waitUntil } from '../../tools/harness/wait-until.ts';
import { sweepScheduleId } from '../../worker/schedule.ts';

const server = edgeTool('temporal-server') ?? '';
const sqlTool = edgeTool('temporal-sql-tool') ?? '';

describe.skipIf(server === '' || sqlTool === '')('Temporal as a cluster of two server processes', () => {
  const cleanup = createCleanup();
  let cluster: TemporalCluster;
  let balancer: TcpProxy;
  let service: Service;
  const conversations: string[] = [];

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
    const alice = service.clientOf('alice');
    for (let i = 0; i < 20; i++) conversations.push(await createOpaque(alice));
  });
  afterAll(() => cleanup.run());

  const decided = async (path: 'workflow' | 'direct'): Promise<number> => {
    const text = await (await fetch(`${service.urls()[0] ?? ''}/metrics`)).text();
    const lines = text.matchAll(/^parley_operations_total\{(?<labels>[^}]*)\} (?<count>\d+)$/gm);
    return [...lines]
      .filter(({ groups }) => groups?.labels?.includes(`path="${path}"`))
      .reduce((sum, { groups }) => sum + Number(groups?.count), 0);
  };

  /** Sends all the time; each message is sent once, and every answer must be a success. */
  const senders = (): {
    readonly stop: () => Promise<readonly { conversation: string; id: string; seq: number }[]>;
  } => {
    const acknowledged: { conversation: string; id: string; seq: number }[] = [];
    const state = { stopped: false };
    const running = conversations.map(async (conversation) => {
      const alice = service.clientOf('alice', { attempts: 1 });
      while (!state.stopped) {
        const message = newMessage();
        const { seq } = await alice.send(conversation, message);
        acknowledged.push({ conversation, id: message.id, seq });
        await spend(20);
      }
    });
    return {
      stop: async () => {
        state.stopped = true;
        await Promise.all(running);
        return acknowledged;
      },
    };
  };

  const workflowDecidesAgain = async (): Promise<number> => {
    const startedAt = performance.now();
    const before = await decided('workflow');
    await waitUntil(async () => (await decided('workflow')) > before + conversations.length, {
      what: 'the workflow path decides',
      timeoutMs: 120_000,
    });
    return performance.now() - startedAt;
  };

  test('each of them may be killed under load: no request fails, nothing is lost, and the workflow path comes back', async () => {
    const load = senders();
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
    const acknowledged = await load.stop();
    // Schedules are the last to be served again.
    const schedule = service.temporal.schedule.getHandle(sweepScheduleId(service.taskQueue));
    await waitUntil(
      () =>
        schedule.delete().then(
          () => true,
          () => false,
        ),
      { what: 'the cluster serves schedules again', timeoutMs: 120_000, everyMs: 500 },
    );
    process.stderr.write(`${times.join('\n')}\n${acknowledged.length} messages acknowledged\n`);
    const { rows } = await service.pool.query<{ missing: number; holes: number }>(
      `select (select count(*) from unnest($1::text[], $2::text[], $3::bigint[]) a (c, id, seq)
          where not exists (select from entry e join conversation v on v.key = e.conversation
            where v.id = a.c and e.message_id = a.id and e.seq = a.seq)) as missing,
        (select count(*) from conversation c where c.last_seq <> (select count(*) from entry e where e.conversation = c.key)) as holes`,
      [
        acknowledged.map(({ conversation }) => conversation),
        acknowledged.map(({ id }) => id),
        acknowledged.map(({ seq }) => seq),
      ],
    );
    expect(rows).toEqual([{ missing: 0, holes: 0 }]);
    expect(acknowledged.length).toBeGreaterThan(conversations.length);
  });
});
