import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { createCleanup } from '../../process/cleanup.ts';
import { signToken } from '../../local/development-token.ts';
import { makePool } from '../../store/pool.ts';
import { createHttp, ParleyClient } from '../../client/index.ts';
import type { ServiceProcess } from '../harness/processes.ts';
import { TEST_JWT_SECRET, startApi, startWorker } from '../harness/processes.ts';

export interface ModelTarget {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
}

/** Two API and two worker processes, each of which may be killed. */
export interface ModelFleet {
  readonly pool: pg.Pool;
  /** URL of an API process that runs; `turn` picks which. */
  readonly url: (turn: number) => string;
  readonly token: (user: string, device: string) => Promise<string>;
  /** SIGKILL, and another one in its stead; returns once that one is ready. */
  readonly replace: (kind: 'api' | 'worker', place: number) => Promise<void>;
  readonly setPath: (path: 'workflow' | 'direct') => Promise<void>;
  readonly stop: () => Promise<void>;
}

const PLACES = 2;

/** Starts the processes on a database and a Temporal server that are there already. */
export async function startModelFleet(target: ModelTarget): Promise<ModelFleet> {
  const limits = ['MESSAGES', 'COMMITS', 'WRITES', 'READS', 'CLAIMS', 'UNAUTHENTICATED'];
  const env = Object.fromEntries(limits.map((name) => [`RATE_LIMIT_${name}`, '0']));
  const options = { ...target, taskQueue: `mls-model-${randomBytes(6).toString('hex')}`, env };
  const start = { api: startApi, worker: startWorker };
  const cleanup = createCleanup();
  try {
    const pool = makePool({ url: target.databaseUrl, max: 4, name: 'mls-model', statementTimeoutMs: 60_000 });
    cleanup.add('pool', () => pool.end());
    const running: Record<'api' | 'worker', ServiceProcess[]> = { api: [], worker: [] };
    cleanup.add('processes', async () => {
      await Promise.all([...running.api, ...running.worker].filter((one) => one.isRunning()).map((one) => one.stop()));
    });
    const launch = async (kind: 'api' | 'worker', place: number): Promise<void> => {
      running[kind][place] = await start[kind](options);
    };
    const places = Array.from({ length: PLACES }, (_, place) => place);
    await Promise.all(places.flatMap((place) => [launch('api', place), launch('worker', place)]));
    const tokens = new Map<string, Promise<string>>();
    const url = (turn: number): string => {
      const apis = running.api.filter((api) => api.isRunning());
      return apis[turn % apis.length]?.url ?? '';
    };
    const token = (): Promise<string> =>
      signToken({ secret: TEST_JWT_SECRET, audience: 'parley', user: 'operator', operator: true });
    const operator = new ParleyClient(createHttp({ baseUrl: () => url(0), token }));
    return {
      pool,
      url,
      token: (user, device) => {
        const key = JSON.stringify([user, device]);
        const known = tokens.get(key) ?? signToken({ secret: TEST_JWT_SECRET, audience: 'parley', user, device });
        tokens.set(key, known);
        return known;
      },
      replace: async (kind, place) => {
        await running[kind][place]?.kill9();
        await launch(kind, place);
      },
      setPath: async (path) => {
        await operator.admin.setPath({ path, rollout: 100 });
      },
      stop: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}
