import { randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { type Child, describeExit, startChild } from '../../local/child.ts';
import { type Postgres, startPostgres } from '../../local/postgres.ts';
import { signalProcess } from '../../local/process-table.ts';
import { runCommand } from '../../local/run-command.ts';
import { ensureNamespace } from '../../ops/temporal/namespace.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { makeTemporalClient } from '../../process/temporal-client.ts';
import { atExit } from './at-exit.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { tryUntil, waitUntil } from './wait-until.ts';

/** Roles of a Temporal server. A process may have any of them; each must be somewhere. */
export type TemporalRole = 'frontend' | 'history' | 'matching' | 'worker';

/** One server process of a cluster. */
export interface ClusterNode {
  /** host:port of its frontend. */
  readonly address: string;
  readonly roles: readonly TemporalRole[];
  readonly isRunning: () => boolean;
  readonly kill9: () => Promise<void>;
  /** Starts it again, with the same ports; resolves when its frontend answers. */
  readonly start: () => Promise<void>;
}

export interface TemporalCluster {
  readonly nodes: readonly ClusterNode[];
  readonly postgres: Postgres;
  readonly stop: () => Promise<void>;
}

export interface ClusterOptions {
  /** Path of Temporal's server, and of its tool for SQL schemas, both of the same version. */
  readonly server: string;
  readonly sqlTool: string;
  /** Roles of each node. */
  readonly roles: readonly (readonly TemporalRole[])[];
  /** Cannot be changed later. */
  readonly shards: number;
  readonly say: (line: string) => void;
}

const START_MS = 120_000;
const DATABASES = { temporal: 'temporal', temporal_visibility: 'visibility' } as const;

/** Starts Temporal as a cluster of server processes that share a Postgres, each on a loopback address of its own. */
export async function startTemporalCluster(options: ClusterOptions): Promise<TemporalCluster> {
  const { say } = options;
  const cleanup = createCleanup();
  try {
    const folder = temporaryFolder('cluster');
    cleanup.add('folder', folder.remove);
    const postgres = await startPostgres({ dataDir: path.join(folder.path, 'postgres'), say });
    cleanup.add('Postgres', () => postgres.stop());
    for (const [database, schema] of Object.entries(DATABASES)) {
      const tool = (...args: string[]): Promise<string> =>
        runCommand(options.sqlTool, args, { env: { ...process.env, ...sqlEnvironment(postgres, database) } });
      await tool('create-database');
      await tool('setup-schema', '-v', '0.0');
      await tool('update-schema', '--schema-name', `postgresql/v12/${schema}`);
    }
    const network = `${randomInt(1, 255)}.${randomInt(1, 255)}`;
    const nodes: ClusterNode[] = [];
    for (const [place, roles] of options.roles.entries()) {
      const node = makeNode({ ...options, postgres, folder: folder.path, network, place, roles });
      cleanup.add(`node ${place}`, () => node.kill9());
      nodes.push(node);
    }
    // One after the other: the first writes facts about the cluster, and one that writes them at the same time ends itself.
    for (const node of nodes) await node.start();
    await registerNamespace(nodes[0]?.address ?? '');
    return { nodes, postgres, stop: () => cleanup.run() };
  } catch (error) {
    await cleanup.run().catch(() => undefined);
    throw error;
  }
}

function sqlEnvironment(postgres: Postgres, database: string): Record<string, string> {
  const { hostname, port, username, password } = new URL(postgres.url());
  return {
    SQL_PLUGIN: 'postgres12_pgx',
    SQL_HOST: hostname,
    SQL_PORT: port,
    SQL_USER: username,
    SQL_PASSWORD: password,
    SQL_DATABASE: database,
  };
}

interface NodePlace {
  readonly postgres: Postgres;
  readonly folder: string;
  /** Second and third number of the addresses of this cluster. */
  readonly network: string;
  readonly place: number;
  readonly roles: readonly TemporalRole[];
}

function makeNode(options: Omit<ClusterOptions, 'roles'> & NodePlace): ClusterNode {
  const { server, postgres, folder, network, place, roles, shards } = options;
  // As on machines of their own, with the same ports on each. Free ports would not do: with Postgres, Temporal stores the port of a
  // member in 15 bits. Linux takes all of 127.0.0.0/8 as this machine.
  const host = `127.${network}.${place + 1}`;
  const { hostname, port, username, password } = new URL(postgres.url());
  const address = `${host}:7233`;
  const env = {
    PATH: process.env.PATH,
    DB: 'postgres12_pgx',
    POSTGRES_SEEDS: hostname,
    DB_PORT: port,
    POSTGRES_USER: username,
    POSTGRES_PWD: password,
    NUM_HISTORY_SHARDS: String(shards),
    SQL_MAX_CONNS: '40',
    SQL_MAX_IDLE_CONNS: '40',
    SQL_VIS_MAX_CONNS: '10',
    BIND_ON_IP: host,
    TEMPORAL_BROADCAST_ADDRESS: host,
    PUBLIC_FRONTEND_ADDRESS: address,
    LOG_LEVEL: 'warn',
    DYNAMIC_CONFIG_FILE_PATH: path.join(packageRoot(), 'ops', 'temporal', 'dynamic-config.yaml'),
  };
  mkdirSync(folder, { recursive: true });
  let child: Child | undefined;
  let forget = (): void => undefined;
  return {
    address,
    roles,
    isRunning: () => child?.running() ?? false,
    kill9: async () => {
      await child?.stop('SIGKILL', 0);
      forget();
    },
    start: async () => {
      const started = await startChild({
        command: server,
        args: ['--allow-no-auth', 'start', ...roles.flatMap((role) => ['--service', role])],
        env,
        cwd: folder,
        logFile: path.join(folder, `node-${place}.log`),
      });
      child = started;
      forget = atExit(() => void signalProcess(started.pid, 'SIGKILL'));
      await waitUntil(
        async () => {
          if (!started.running()) {
            throw new Error(`Temporal node ${place} ended (${describeExit(await started.exited)}): ${started.tail()}`);
          }
          return answers(address);
        },
        { what: `Temporal node ${place} answers`, timeoutMs: START_MS },
      );
    },
  };
}

async function answers(address: string): Promise<boolean> {
  try {
    await withConnection(address, (connection) => connection.workflowService.getSystemInfo({}));
    return true;
  } catch {
    return false;
  }
}

async function registerNamespace(address: string): Promise<void> {
  const { client, connection } = makeTemporalClient({ address, namespace: 'default', identity: 'cluster' });
  try {
    await ensureNamespace(client);
  } finally {
    await connection.close();
  }
  await tryUntil(
    // Each node reads the list of namespaces anew only every few seconds.
    () =>
      withConnection(address, (connection) =>
        connection.workflowService.countWorkflowExecutions({ namespace: 'default' }),
      ),
    { what: 'the namespace is known', timeoutMs: START_MS },
  );
}

async function withConnection<T>(address: string, use: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address, connectTimeout: 2000 });
  try {
    return await connection.withDeadline(Date.now() + 10_000, () => use(connection));
  } finally {
    await connection.close();
  }
}
