import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import type pg from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';
import { signToken } from '../../local/development-token.ts';
import { sweepScheduleId } from '../../worker/schedule.ts';
import { createHttp, ParleyClient } from '../../client/index.ts';
import { createTestDatabase } from './database.ts';
import { type ServiceProcess, TEST_JWT_SECRET, startApi, startWorker } from '../../tools/harness/processes.ts';

type Env = Readonly<Record<string, string>>;

export interface ServiceSetup {
  /** @default 2 */
  readonly apis?: number;
  /** @default 2 */
  readonly workers?: number;
  /** Of every process. */
  readonly env?: Env;
  /** Of single API processes, by position; on top of `env`. */
  readonly apiEnv?: readonly Env[];
}

export interface ClientOptions {
  /** Index of the API process. @default 0 */
  readonly api?: number;
  /** The token's claim `device`. @default none */
  readonly device?: string;
  /** With the scope `operator`. @default false */
  readonly operator?: boolean;
  /** Tries of one request; 1 shows every error to the test. @default the kit's own */
  readonly attempts?: number;
}

/** The whole service: real processes on one fresh database and a task queue of their own. */
export interface Service {
  readonly apis: readonly ServiceProcess[];
  readonly workers: readonly ServiceProcess[];
  readonly clientOf: (user: string, options?: ClientOptions) => ParleyClient;
  readonly pool: pg.Pool;
  readonly temporal: Client;
  readonly taskQueue: string;
  readonly stop: () => Promise<void>;
}

export async function startService(setup: ServiceSetup = {}): Promise<Service> {
  const { apis: apiCount = 2, workers: workerCount = 2, env = {}, apiEnv = [] } = setup;
  const cleanup = createCleanup();
  try {
    const database = await createTestDatabase();
    cleanup.add('database', database.drop);
    const temporalAddress = inject('temporalAddress');
    const connection = await Connection.connect({ address: temporalAddress });
    cleanup.add('Temporal connection', () => connection.close());
    const temporal = new Client({ connection });
    const taskQueue = `test-${randomUUID()}`;
    // It would start sweeps for ever that no worker takes.
    cleanup.add('schedule', async () => {
      const schedule = temporal.schedule.getHandle(sweepScheduleId(taskQueue));
      if (workerCount > 0) await schedule.delete();
    });

    const common = { databaseUrl: database.url, temporalAddress, taskQueue };
    const start = async (name: string, starting: Promise<ServiceProcess>): Promise<ServiceProcess> => {
      const process = await starting;
      cleanup.add(name, async () => {
        if (process.isRunning()) await process.stop();
      });
      return process;
    };
    const started = await Promise.allSettled([
      ...Array.from({ length: apiCount }, (_, i) =>
        start(`api ${i}`, startApi({ ...common, env: { ...RATE_LIMITS_OFF, ...env, ...apiEnv[i] } })),
      ),
      ...Array.from({ length: workerCount }, (_, i) => start(`worker ${i}`, startWorker({ ...common, env }))),
    ]);
    const processes = started.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
    const apis = processes.slice(0, apiCount);

    const tokens = new Map<string, Promise<string>>();
    const tokenOf = (user: string, operator: boolean, device?: string): Promise<string> => {
      const key = JSON.stringify([user, operator, device]);
      const claims = { user, operator, ...(device === undefined ? {} : { device }) };
      const known = tokens.get(key) ?? signToken({ secret: TEST_JWT_SECRET, audience: 'parley', ...claims });
      tokens.set(key, known);
      return known;
    };
    return {
      apis,
      workers: processes.slice(apiCount),
      clientOf: (user, { api = 0, device, operator = false, attempts } = {}) => {
        const baseUrl = apis[api]?.url;
        if (baseUrl === undefined) throw new Error(`There is no API ${api}`);
        const tries = attempts === undefined ? {} : { attempts };
        return new ParleyClient(createHttp({ baseUrl, token: () => tokenOf(user, operator, device), ...tries }));
      },
      pool: database.pool,
      temporal,
      taskQueue,
      stop: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

/** The service of a test file, started before its first test and stopped after its last. */
export function useService(setup: ServiceSetup = {}): () => Service {
  let service: Service | undefined;
  beforeAll(async () => {
    service = await startService(setup);
  });
  afterAll(() => service?.stop());
  return () => {
    if (service === undefined) throw new Error('The service runs only while tests run');
    return service;
  };
}

const RATE_LIMITS_OFF: Env = {
  RATE_LIMIT_MESSAGES: '0',
  RATE_LIMIT_COMMITS: '0',
  RATE_LIMIT_WRITES: '0',
  RATE_LIMIT_READS: '0',
  RATE_LIMIT_UNAUTHENTICATED: '0',
};
