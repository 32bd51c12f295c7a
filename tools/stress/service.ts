import type pg from 'pg';
import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { createCleanup } from '../../process/cleanup.ts';
import { makeTemporalClient } from '../../process/temporal-client.ts';
import { makePool } from '../../store/pool.ts';
import { loadEnvironment } from '../load/environment.ts';
import { residentMbs } from '../load/process-stats.ts';
import type { ServiceOptions, ServiceProcess } from '../harness/processes.ts';
import { startApi, startWorker } from '../harness/processes.ts';

export interface StressTarget {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  /** Servers whose memory is shown with that of the service. */
  readonly serverPids?: Readonly<Record<string, number>>;
}

/** Parley under stress: one API process and two workers. */
export interface StressService {
  readonly url: string;
  readonly pool: pg.Pool;
  readonly client: Client;
  /** kill -9 for the worker in this place, and a new one in its stead; resolves when that one is ready. */
  readonly replaceWorker: (place: number) => Promise<void>;
  readonly workers: number;
  /** Resident memory by process, now. */
  readonly memoryMb: () => Readonly<Record<string, number>>;
  readonly stop: () => Promise<void>;
}

const WORKERS = 2;

/** Starts the service on a database and a Temporal server that are there already. */
export async function startStressService(target: StressTarget): Promise<StressService> {
  const taskQueue = `stress-${randomBytes(6).toString('hex')}`;
  const env = loadEnvironment({ ...target, taskQueue, path: 'workflow' });
  const options: ServiceOptions = { ...target, taskQueue, env };
  const cleanup = createCleanup();
  try {
    const workers = await Promise.all(Array.from({ length: WORKERS }, () => startWorker(options)));
    cleanup.add('workers', async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
    });
    const api = await startApi(options);
    cleanup.add('api', async () => {
      await api.stop();
    });
    const pool = makePool({ url: target.databaseUrl, max: 4, name: 'stress', statementTimeoutMs: 60_000 });
    cleanup.add('pool', () => pool.end());
    const { client, connection } = makeTemporalClient({
      address: target.temporalAddress,
      namespace: 'default',
      identity: 'stress',
    });
    cleanup.add('client', () => connection.close());
    return {
      url: api.url,
      pool,
      client,
      workers: WORKERS,
      replaceWorker: async (place) => {
        await workers[place]?.kill9();
        workers[place] = await startWorker(options);
      },
      memoryMb: () => residentMbs({ api: api.pid, ...pidsOf(workers), ...target.serverPids }),
      stop: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

function pidsOf(workers: readonly ServiceProcess[]): Record<string, number> {
  return Object.fromEntries(workers.map(({ pid }, i) => [`worker-${i + 1}`, pid]));
}
