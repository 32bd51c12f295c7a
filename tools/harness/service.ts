import { randomUUID } from 'node:crypto';
import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import type pg from 'pg';
import { ParleyClient, type PathSetting, createHttp } from '../../client/index.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { makeTemporalClient } from '../../process/temporal-client.ts';
import { makePool } from '../../store/pool.ts';
import { sweepScheduleId } from '../../worker/schedule.ts';
import { supervisorWorkflowId } from '../../workflows/supervisor/messages.ts';
import { type ServiceOptions, type ServiceProcess, startApi, startWorker } from './processes.ts';
import { rememberTokens } from './tokens.ts';
import { tryUntil, waitUntil } from './wait-until.ts';

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

export interface ServiceTarget {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  /** Becomes part of the task queue's name. @default 'harness' */
  readonly name?: string;
}

export interface ClientOptions {
  /** Index of the API process. @default 0 */
  readonly api?: number;
  /** The token's claim `device`. @default none */
  readonly device?: string;
  /** With the scope `operator`. @default for the user `operator` only */
  readonly operator?: boolean;
  /** Tries of one request; 1 shows every error to the caller. @default as the client library does */
  readonly attempts?: number;
}

/** A whole service: API and worker processes on one database, with a task queue of their own. */
export interface Service {
  /** By place; a process that was killed stays in its place until it is replaced. */
  readonly apis: readonly ServiceProcess[];
  readonly workers: readonly ServiceProcess[];
  readonly taskQueue: string;
  /** A pool of the caller's own on the service's database. */
  readonly pool: pg.Pool;
  readonly temporal: Client;
  /** Of the API processes that run. */
  readonly urls: () => readonly string[];
  readonly token: ReturnType<typeof rememberTokens>;
  readonly clientOf: (user: string, options?: ClientOptions) => ParleyClient;
  /** Starts one more process, in a place of its own. @param root folder of another build */
  readonly addApi: (env?: Env, root?: string) => Promise<ServiceProcess>;
  readonly addWorker: (env?: Env, root?: string) => Promise<ServiceProcess>;
  /** SIGKILL for the process in a place, and a new one there; resolves when that one is ready. */
  readonly replace: (kind: 'api' | 'worker', place: number) => Promise<void>;
  /** Has all conversations take a path; resolves when every API process that runs does so. */
  readonly setPath: (path: PathSetting['path']) => Promise<void>;
  /** SIGTERM for all processes: what is in flight may end. */
  readonly stop: () => Promise<void>;
  /** SIGKILL for all processes: for a service that was left in the middle of a fault. */
  readonly kill: () => Promise<void>;
}

/** Starts a service on a database and a Temporal server that are there already. */
export async function startService(target: ServiceTarget, setup: ServiceSetup = {}): Promise<Service> {
  const { databaseUrl, temporalAddress, name = 'harness' } = target;
  const { apis: apiCount = 2, workers: workerCount = 2, env = {}, apiEnv = [] } = setup;
  const taskQueue = `${name}-${randomUUID()}`;
  const common: ServiceOptions = { databaseUrl, temporalAddress, taskQueue };
  const running: Record<'api' | 'worker', ServiceProcess[]> = { api: [], worker: [] };
  const places = { api: 0, worker: 0 };
  const cleanup = createCleanup();
  let hadWorker = false;
  let end: 'stop' | 'kill9' = 'stop';

  const launch = async (
    kind: 'api' | 'worker',
    place: number,
    more: Env = {},
    root?: string,
  ): Promise<ServiceProcess> => {
    hadWorker ||= kind === 'worker';
    const start = kind === 'api' ? startApi : startWorker;
    const started = await start({
      ...common,
      env: { ...env, ...(kind === 'api' ? apiEnv[place] : {}), ...more },
      ...(root === undefined ? {} : { root }),
    });
    running[kind][place] = started;
    return started;
  };
  const add = (kind: 'api' | 'worker', more?: Env, root?: string): Promise<ServiceProcess> => {
    const place = places[kind]++;
    return launch(kind, place, more, root);
  };
  try {
    const { client: temporal, connection } = makeTemporalClient({
      address: temporalAddress,
      namespace: 'default',
      identity: name,
    });
    cleanup.add('Temporal connection', () => connection.close());
    const pool = makePool({ url: databaseUrl, max: 4, name, statementTimeoutMs: 60_000 });
    // Postgres may be killed under it: then queries fail, and this process must not end.
    pool.on('error', () => undefined);
    cleanup.add('pool', () => pool.end());
    cleanup.add('supervisor', async () => {
      const supervisor = temporal.workflow.getHandle(supervisorWorkflowId(taskQueue));
      // There is none when no worker was ready for long enough.
      if (hadWorker) await supervisor.terminate().catch(() => undefined);
    });
    // Otherwise Temporal starts sweeps for ever, which no worker takes.
    cleanup.add('schedule', async () => {
      if (!hadWorker) return;
      const deleteSchedule = async (): Promise<void> => {
        try {
          await temporal.schedule.getHandle(sweepScheduleId(taskQueue)).delete();
        } catch (error) {
          if (!(error instanceof ScheduleNotFoundError)) throw error;
        }
      };
      // A server of a cluster that was killed and started again answers for its shards later than its frontend does, and the other
      // servers wait before they dial it again.
      await tryUntil(deleteSchedule, { what: 'the schedule is deleted', timeoutMs: 120_000, everyMs: 500 });
    });
    cleanup.add('processes', async () => {
      const all = [...running.api, ...running.worker].filter((one) => one.isRunning());
      await Promise.all(all.map((one) => one[end]()));
    });

    const started = await Promise.allSettled([
      ...Array.from({ length: apiCount }, () => add('api')),
      ...Array.from({ length: workerCount }, () => add('worker')),
    ]);
    for (const result of started) if (result.status === 'rejected') throw result.reason;

    const token = rememberTokens();
    const clientOf = (user: string, options: ClientOptions = {}): ParleyClient => {
      const { api = 0, device, operator, attempts } = options;
      const baseUrl = running.api[api]?.url;
      if (baseUrl === undefined) throw new Error(`There is no API ${api}`);
      const tries = attempts === undefined ? {} : { attempts };
      return new ParleyClient(createHttp({ baseUrl, token: () => token(user, { device, operator }), ...tries }));
    };
    return {
      apis: running.api,
      workers: running.worker,
      taskQueue,
      pool,
      temporal,
      token,
      urls: () => running.api.filter((api) => api.isRunning()).map(({ url }) => url),
      clientOf,
      addApi: (more, root) => add('api', more, root),
      addWorker: (more, root) => add('worker', more, root),
      replace: async (kind, place) => {
        await running[kind][place]?.kill9();
        await launch(kind, place);
      },
      setPath: async (path) => {
        const places = running.api.flatMap((api, place) => (api.isRunning() ? [place] : []));
        const operators = places.map((api) => clientOf('operator', { api }));
        await operators[0]?.admin.setPath({ path, rollout: 100 });
        const settings = (): Promise<PathSetting[]> => Promise.all(operators.map((operator) => operator.admin.path()));
        await waitUntil(async () => (await settings()).every((setting) => setting.path === path), {
          what: `all API processes take the ${path} path`,
        });
      },
      stop: () => cleanup.run(),
      kill: () => {
        end = 'kill9';
        return cleanup.run();
      },
    };
  } catch (error) {
    end = 'kill9';
    await cleanup.run().catch(() => undefined);
    throw error;
  }
}
