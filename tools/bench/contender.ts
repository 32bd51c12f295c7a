import { type ServiceProcess, environmentOf, startNodeProcess } from '../harness/processes.ts';
import type { Servers } from '../harness/servers.ts';
import { freePort, loopback } from '../../local/ports.ts';
import { LOAD_ENVIRONMENT } from '../load/environment.ts';
import { registerNamespace } from '../harness/namespace.ts';
import type { RestateServer } from './contenders/restate/server.ts';

export const CONTENDERS = [
  'workflow',
  'direct',
  'auto',
  'naive',
  'plain-sql',
  'restate',
  'graphile-worker',
  'actor',
] as const;
export type ContenderName = (typeof CONTENDERS)[number];

interface Scripts {
  readonly api: string;
  readonly apiArgs?: readonly string[];
  /** Absent = the contender has no worker. */
  readonly worker?: string;
  readonly path: 'workflow' | 'direct' | 'auto';
}

const OTHER_API = 'tools/bench/contenders/main.js';
const SCRIPTS: Readonly<Record<ContenderName, Scripts>> = {
  workflow: { api: 'api/main.js', worker: 'worker/main.js', path: 'workflow' },
  direct: { api: 'api/main.js', path: 'direct' },
  auto: { api: 'api/main.js', worker: 'worker/main.js', path: 'auto' },
  naive: { api: OTHER_API, apiArgs: ['naive'], worker: 'tools/bench/contenders/naive/worker.js', path: 'workflow' },
  'plain-sql': { api: OTHER_API, apiArgs: ['plain-sql'], path: 'direct' },
  restate: {
    api: OTHER_API,
    apiArgs: ['restate'],
    worker: 'tools/bench/contenders/restate/service.js',
    path: 'direct',
  },
  'graphile-worker': {
    api: OTHER_API,
    apiArgs: ['graphile-worker'],
    worker: 'tools/bench/contenders/graphile-worker/worker.js',
    path: 'direct',
  },
  actor: { api: OTHER_API, apiArgs: ['actor'], path: 'direct' },
};

/** A service with its own database. All contenders share Postgres and Temporal. */
export interface Contender {
  readonly name: ContenderName;
  readonly url: string;
  readonly databaseUrl: string;
  /** Process name -> pid, for CPU times: the contender's processes, both servers and the load generator. */
  readonly pids: Readonly<Record<string, number>>;
  /** Absent = the contender has no worker. */
  readonly workerPid: number | undefined;
  /** Starts another API process of the same service; whoever asks stops it. */
  readonly startApi: () => Promise<ServiceProcess>;
  /** SIGKILL for its API and its worker at once. The servers stay. */
  readonly kill9: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface ContenderOptions {
  readonly name: ContenderName;
  readonly servers: Servers;
  /** Only for the contender `restate`. */
  readonly restate?: RestateServer | undefined;
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
  // The conversations of all contenders have the same ids, and so have their workflows.
  const namespace = worker === undefined ? 'default' : `bench-${name}${suffix}`;
  if (worker !== undefined) await registerNamespace(servers.temporalAddress, namespace);
  const env = environmentOf({
    databaseUrl,
    temporalAddress: servers.temporalAddress,
    taskQueue: `bench-${name}${suffix}`,
    // The SDK of Restate would log two lines for each invocation.
    env: { ...LOAD_ENVIRONMENT, CONVERSATION_PATH: path, TEMPORAL_NAMESPACE: namespace, RESTATE_LOGGING: 'WARN' },
  });
  const common = { env, profileDir };
  const restate = name === 'restate' ? await restateWiring(options.restate, suffix) : undefined;
  const started: ServiceProcess[] = [];
  if (worker !== undefined) {
    started.push(
      await startNodeProcess({
        ...common,
        name: `${name}-worker${suffix}`,
        script: worker,
        args: restate?.serviceArgs ?? [],
        portVariable: 'ADMIN_PORT',
      }),
    );
  }
  await restate?.register();
  const args = [...apiArgs, ...(restate?.apiArgs ?? [])];
  const startApi = (apiName: string, nodeArgs?: readonly string[]): Promise<ServiceProcess> =>
    startNodeProcess({ ...common, name: apiName, script: api, args, nodeArgs, portVariable: 'PORT' });
  const service = await startApi(`${name}-api${suffix}`, apiNodeArgs);
  const workerPid = started[0]?.pid;
  return {
    name,
    url: service.url,
    databaseUrl,
    workerPid,
    pids: {
      api: service.pid,
      ...(workerPid === undefined ? {} : { worker: workerPid }),
      ...servers.pids,
      ...(restate === undefined ? {} : { restate: restate.pid }),
      load: process.pid,
    },
    startApi: () => startApi(`${name}-second-api${suffix}`),
    kill9: async () => {
      await Promise.all([service, ...started].map((one) => one.kill9()));
    },
    stop: async () => {
      await service.stop();
      await Promise.all(started.map((one) => one.stop()));
    },
  };
}

/** What the processes of the contender `restate` have to know of each other. */
async function restateWiring(
  server: RestateServer | undefined,
  suffix: string,
): Promise<{
  readonly pid: number;
  readonly serviceArgs: readonly string[];
  readonly apiArgs: readonly string[];
  readonly register: () => Promise<void>;
}> {
  if (server === undefined) throw new Error('The contender restate needs its server');
  const object = `Conversation${suffix.replaceAll('-', '_')}`;
  const port = await freePort();
  return {
    pid: server.pid,
    serviceArgs: [object, String(port)],
    apiArgs: [server.ingressUrl, object],
    register: () => server.register(`http://${loopback}:${port}`),
  };
}
