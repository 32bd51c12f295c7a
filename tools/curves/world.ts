import type pg from 'pg';
import { createCleanup } from '../../process/cleanup.ts';
import { makePool } from '../../store/pool.ts';
import { asAdmin } from '../../local/database-copy.ts';
import type { Servers } from '../harness/servers.ts';
import { type Service, startService } from '../harness/service.ts';
import { LOAD_ENVIRONMENT } from '../load/environment.ts';
import { type Entrance, openEntrance } from './entrance.ts';
import type { Turns } from './in-turns.ts';

/** What a case needs: databases and services of its own, which end with it. */
export interface World {
  /** Smaller sizes, shorter slices. */
  readonly quick: boolean;
  readonly turns: Turns;
  readonly servers: Servers;
  readonly say: (line: string) => void;
  readonly database: (name: string) => Promise<WorldDatabase>;
  readonly service: (databaseUrl: string, setup: WorldService) => Promise<MeasuredService>;
  /** Has something done when the case ends; the newest first. */
  readonly later: (name: string, action: () => unknown) => void;
}

export interface WorldDatabase {
  readonly url: string;
  /** For seeding: statements may take minutes. */
  readonly pool: pg.Pool;
}

export interface WorldService {
  /** One API process for each, with this path. */
  readonly paths: readonly ('direct' | 'workflow')[];
  readonly workers: number;
  /** @default the Temporal server of the run */
  readonly temporal?: { readonly address: string; readonly pids: Readonly<Record<string, number>> };
}

export interface MeasuredService {
  readonly service: Service;
  /** One for each API process. On the workflow path its pids include the workers and Temporal. */
  readonly entrances: readonly Entrance[];
}

/** A seed of a million entries takes a minute on a slow disk. */
const SEED_TIMEOUT_MS = 600_000;

/** Runs a case and deletes everything that it made. */
export async function inWorld<T>(
  options: Pick<World, 'quick' | 'turns' | 'servers' | 'say'>,
  run: (world: World) => Promise<T>,
): Promise<T> {
  const cleanup = createCleanup();
  const { servers } = options;
  const world: World = {
    ...options,
    later: (name, action) =>
      cleanup.add(name, async () => {
        await action();
      }),
    database: async (name) => {
      const url = await servers.createDatabase(name);
      cleanup.add(name, () =>
        asAdmin(servers.postgresUrl, async (client) => {
          await client.query(`drop database ${name} with (force)`);
        }),
      );
      const pool = makePool({ url, max: 4, name: 'curves', statementTimeoutMs: SEED_TIMEOUT_MS });
      pool.on('error', () => undefined);
      cleanup.add('pool', () => pool.end());
      return { url, pool };
    },
    service: async (databaseUrl, { paths, workers, temporal }) => {
      const { address = servers.temporalAddress, pids = { temporal: servers.pids.temporal ?? 0 } } = temporal ?? {};
      const service = await startService(
        { databaseUrl, temporalAddress: address, name: 'curves' },
        {
          apis: paths.length,
          workers,
          // Small pools: some cases run 17 processes on one server.
          env: { ...LOAD_ENVIRONMENT, STREAMS_PER_USER: '0', DATABASE_POOL_SIZE: '8' },
          apiEnv: paths.map((path) => ({ CONVERSATION_PATH: path })),
        },
      );
      cleanup.add('service', () => service.stop());
      const postgres = { postgres: servers.pids.postgres ?? 0 };
      const behind = {
        direct: postgres,
        workflow: { ...numbered('worker', service.workers), ...pids, ...postgres },
      };
      const entrances = service.apis.map((api, i) => {
        const entrance = openEntrance(api.url, { api: api.pid, ...behind[paths[i] ?? 'direct'] });
        cleanup.add('connections', entrance.close);
        return entrance;
      });
      return { service, entrances };
    },
  };
  try {
    return await run(world);
  } finally {
    await cleanup.run();
  }
}

function numbered(name: string, processes: readonly { readonly pid: number }[]): Record<string, number> {
  return Object.fromEntries(processes.map(({ pid }, i) => [i === 0 ? name : `${name} ${i + 1}`, pid]));
}
