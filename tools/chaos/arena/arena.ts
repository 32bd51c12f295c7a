import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import type pg from 'pg';
import type { ConversationPath } from '../../../dispatch/executor.ts';
import { freePort, loopback } from '../../../local/ports.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { makeTemporalClient } from '../../../process/temporal-client.ts';
import { makePool } from '../../../store/pool.ts';
import { migrateDatabase } from '../../harness/databases.ts';
import { temporaryFolder } from '../../harness/temporary-folder.ts';
import { waitUntil } from '../../harness/wait-until.ts';
import { type Balancer, isReady, startBalancer } from './balancer.ts';
import { type Member, startMember } from './fleet.ts';
import { type Restartable, startOwnPostgres, startOwnTemporal } from './restartable.ts';
import { type SmallDisk, mountSmallDisk } from './small-disk.ts';

/** A whole service of its own that faults may break: every line between two of its parts goes through a proxy. */
export interface Arena {
  readonly path: ConversationPath;
  readonly apis: readonly Member[];
  readonly workers: readonly Member[];
  readonly postgres: Restartable;
  readonly temporal: Restartable;
  readonly balancer: Balancer;
  /** Under the data of Postgres; else why there is none. */
  readonly disk: SmallDisk | string;
  /** A way to the database that no fault disturbs but a crash of the server itself. */
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  /** The same for Temporal. */
  readonly temporalClient: Client;
  readonly folder: string;
  /** Where Temporal serves its own metrics, host:port; `undefined` = nobody asked. */
  readonly temporalMetrics: string | undefined;
  /** Starts what does not run, and resolves when every process says that it is ready. */
  readonly untilReady: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface ArenaOptions {
  readonly path: ConversationPath;
  /** Whether the data of Postgres lie on a small disk, where the machine allows it. */
  readonly withSmallDisk: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether Temporal and its SDK serve their metrics. @default false */
  readonly withMetrics?: boolean;
}

const READY_MS = 120_000;

export async function startArena(options: ArenaOptions): Promise<Arena> {
  const cleanup = createCleanup();
  try {
    const folder = temporaryFolder('chaos');
    cleanup.add('folder', folder.remove);
    const dataDir = path.join(folder.path, 'postgres', 'data');
    const disk = options.withSmallDisk ? mountSmallDisk(path.dirname(dataDir)) : 'it was not asked for';
    if (typeof disk !== 'string') cleanup.add('disk', disk.unmount);
    const { withMetrics = false } = options;
    const metricsPort = withMetrics ? await freePort() : undefined;
    const [postgres, temporal] = await Promise.all([
      startOwnPostgres(dataDir),
      startOwnTemporal(folder.path, metricsPort),
    ]);
    cleanup.add('Postgres', () => postgres.kill());
    cleanup.add('Temporal', () => temporal.kill());
    const databaseUrl = postgres.urlAt();
    await migrateDatabase(databaseUrl);
    const pool = makePool({ url: databaseUrl, max: 4, name: 'chaos', statementTimeoutMs: 60_000 });
    // Postgres is killed under it: then queries fail, and this process must not end.
    pool.on('error', () => undefined);
    cleanup.add('pool', () => pool.end());
    const { client: temporalClient, connection } = makeTemporalClient({
      address: temporal.address,
      namespace: 'default',
      identity: 'chaos',
    });
    cleanup.add('Temporal connection', () => connection.close());

    const taskQueue = `chaos-${randomUUID()}`;
    const start = async (kind: 'api' | 'worker', number: number): Promise<Member> => {
      const member = await startMember({
        kind,
        name: `${kind}-${number}`,
        postgresAddress: postgres.address,
        temporalAddress: temporal.address,
        databaseUrlAt: postgres.urlAt,
        taskQueue,
        env: { NODE_ENV: 'production', LOG_LEVEL: 'warn', CONVERSATION_PATH: options.path, ...options.env },
        withSdkMetrics: withMetrics,
      });
      cleanup.add(member.name, member.close);
      return member;
    };
    const started = await Promise.all([start('api', 1), start('api', 2), start('worker', 1), start('worker', 2)]);
    const apis = started.slice(0, 2);
    const workers = started.slice(2);
    const balancer = startBalancer(apis.map(({ clientLink }) => `http://${clientLink?.address ?? ''}`));
    cleanup.add('balancer', balancer.stop);
    return {
      path: options.path,
      apis,
      workers,
      postgres,
      temporal,
      balancer,
      disk,
      pool,
      databaseUrl,
      temporalClient,
      folder: folder.path,
      temporalMetrics: metricsPort === undefined ? undefined : `${loopback}:${metricsPort}`,
      untilReady: async () => {
        await Promise.all([postgres.start(), temporal.start()]);
        await Promise.all(started.map((member) => member.start()));
        await waitUntil(
          async () => (await Promise.all(started.map((member) => isReady(member.process().url)))).every(Boolean),
          { what: 'every process is ready', timeoutMs: READY_MS },
        );
      },
      close: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run().catch(() => undefined);
    throw error;
  }
}
