import { randomUUID } from 'node:crypto';
import { afterEach, inject, vi } from 'vitest';
import { createCleanup } from '../../process/cleanup.ts';
import { signToken } from '../../local/development-token.ts';
import { createTestDatabase } from '../harness/database.ts';
import { type ServiceProcess, TEST_JWT_SECRET, startApi, startWorker } from '../../tools/harness/processes.ts';

export interface FleetOptions {
  readonly apis: number;
  readonly workers: number;
  readonly databaseUrl: string;
  /** @default the Temporal server of the run */
  readonly temporalAddress?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** API and worker processes of one service. */
export interface Fleet {
  readonly apis: ServiceProcess[];
  readonly workers: ServiceProcess[];
  readonly taskQueue: string;
  /** Of the API processes that run. */
  readonly urls: () => readonly string[];
  readonly token: (user: string) => Promise<string>;
  readonly addWorker: () => Promise<ServiceProcess>;
  readonly addApi: () => Promise<ServiceProcess>;
  readonly stop: () => Promise<void>;
}

export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const taskQueue = `faults-${randomUUID()}`;
  const service = {
    databaseUrl: options.databaseUrl,
    temporalAddress: options.temporalAddress ?? inject('temporalAddress'),
    taskQueue,
    env: {
      RATE_LIMIT_MESSAGES: '0',
      RATE_LIMIT_COMMITS: '0',
      RATE_LIMIT_WRITES: '0',
      RATE_LIMIT_READS: '0',
      ...options.env,
    },
  };
  const apis: ServiceProcess[] = [];
  const workers: ServiceProcess[] = [];
  const fleet: Fleet = {
    apis,
    workers,
    taskQueue,
    urls: () => apis.filter((api) => api.isRunning()).map(({ url }) => url),
    token: tokens(),
    addApi: async () => {
      const api = await startApi(service);
      apis.push(api);
      return api;
    },
    addWorker: async () => {
      const worker = await startWorker(service);
      workers.push(worker);
      return worker;
    },
    stop: async () => {
      await Promise.all([...apis, ...workers].filter((one) => one.isRunning()).map((one) => one.kill9()));
    },
  };
  try {
    await Promise.all([
      ...Array.from({ length: options.apis }, fleet.addApi),
      ...Array.from({ length: options.workers }, fleet.addWorker),
    ]);
  } catch (error) {
    await fleet.stop();
    throw error;
  }
  return fleet;
}

/** Tokens by user, each signed once; the user `operator` may change the path. */
export function tokens(): (user: string) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  return (user) => {
    let token = known.get(user);
    if (token === undefined) {
      token = signToken({ secret: TEST_JWT_SECRET, audience: 'parley', user, operator: user === 'operator' });
      known.set(user, token);
    }
    return token;
  };
}

/** Only to end a test that hangs: on busy cores recovery takes several times as long as on idle ones. */
const PATIENCE_MS = 240_000;

/** What a test gives back when it ends, however it ends; the newest first. Gives the tests of the file their time. */
export function useCleanup(): (name: string, release: () => Promise<void> | void) => void {
  vi.setConfig({ testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS });
  let cleanup = createCleanup();
  afterEach(async () => {
    const current = cleanup;
    cleanup = createCleanup();
    await current.run();
  });
  return (name, release) => cleanup.add(name, release);
}

/** A database of its own and a service on it, given back after the test. */
export async function startFleetOnDatabase(
  later: ReturnType<typeof useCleanup>,
  options: Omit<FleetOptions, 'databaseUrl'>,
): Promise<{ fleet: Fleet; database: Awaited<ReturnType<typeof createTestDatabase>> }> {
  const database = await createTestDatabase();
  later('database', database.drop);
  const fleet = await startFleet({ ...options, databaseUrl: database.url });
  later('fleet', fleet.stop);
  return { fleet, database };
}

/** A measurement, for whoever reads the output. */
export function report(line: string): void {
  process.stdout.write(`    ${line}\n`);
}
