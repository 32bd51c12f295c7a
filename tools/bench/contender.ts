import { type ServiceProcess, environmentOf, startNodeProcess } from '../harness/processes.ts';
import type { Servers } from '../harness/servers.ts';
import { LOAD_ENVIRONMENT } from '../load/environment.ts';

export const CONTENDERS = ['workflow', 'auto', 'direct', 'naive', 'plain-sql'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

interface Scripts {
  readonly api: string;
  readonly apiArgs?: readonly string[];
  /** Absent = the contender has no worker. */
  readonly worker?: string;
  readonly path: 'workflow' | 'direct' | 'auto';
}

const NAIVE = 'tools/bench/contenders/naive/worker.js';
const OTHER_API = 'tools/bench/contenders/main.js';
const SCRIPTS: Readonly<Record<ContenderName, Scripts>> = {
  workflow: { api: 'api/main.js', worker: 'worker/main.js', path: 'workflow' },
  auto: { api: 'api/main.js', worker: 'worker/main.js', path: 'auto' },
  direct: { api: 'api/main.js', path: 'direct' },
  naive: { api: OTHER_API, apiArgs: ['naive'], worker: NAIVE, path: 'workflow' },
  'plain-sql': { api: OTHER_API, apiArgs: ['plain-sql'], path: 'direct' },
};

/** A service with its own database. All contenders share Postgres and Temporal. */
export interface Contender {
  readonly name: ContenderName;
  readonly url: string;
  /** Process name -> pid, for CPU times: the contender's processes, both servers and the load generator. */
  readonly pids: Readonly<Record<string, number>>;
  /** Absent = the contender has no worker. */
  readonly workerPid: number | undefined;
  /** Starts another API process of the same service; whoever asks stops it. */
  readonly startApi: () => Promise<ServiceProcess>;
  readonly stop: () => Promise<void>;
}

export interface ContenderOptions {
  readonly name: ContenderName;
  readonly servers: Servers;
  readonly databaseUrl: string;
  /** Separates its task queue from the task queue of another instance. @default '' */
  readonly suffix?: string;
  readonly profileDir?: string | undefined;
  /** Options for Node in the API process. */
  readonly apiNodeArgs?: readonly string[];
}

/** Starts the processes of a contender, the worker first, so that the API finds it. */
export async function startContender(options: ContenderOptions): Promise<Contender> {
  const { name, servers, databaseUrl, suffix = '', profileDir, apiNodeArgs } = options;
  const { api, apiArgs = [], worker, path } = SCRIPTS[name];
  const env = environmentOf({
    databaseUrl,
    temporalAddress: servers.temporalAddress,
    taskQueue: `bench-${name}${suffix}`,
    env: { ...LOAD_ENVIRONMENT, CONVERSATION_PATH: path },
  });
  const common = { env, profileDir };
  const started: ServiceProcess[] = [];
  if (worker !== undefined) {
    started.push(
      await startNodeProcess({
        ...common,
        name: `${name}-worker${suffix}`,
        script: worker,
        portVariable: 'ADMIN_PORT',
      }),
    );
  }
  const startApi = (apiName: string, nodeArgs?: readonly string[]): Promise<ServiceProcess> =>
    startNodeProcess({ ...common, name: apiName, script: api, args: apiArgs, nodeArgs, portVariable: 'PORT' });
  const service = await startApi(`${name}-api${suffix}`, apiNodeArgs);
  const workerPid = started[0]?.pid;
  return {
    name,
    url: service.url,
    workerPid,
    pids: {
      api: service.pid,
      ...(workerPid === undefined ? {} : { worker: workerPid }),
      ...servers.pids,
      load: process.pid,
    },
    startApi: () => startApi(`${name}-second-api${suffix}`),
    stop: async () => {
      await service.stop();
      await Promise.all(started.map((one) => one.stop()));
    },
  };
}
