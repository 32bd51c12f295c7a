import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startChild } from '../../local/child.ts';
import { assertPortFree, loopback } from '../../local/ports.ts';
import { runCommand } from '../../local/run-command.ts';
import { signalProcess } from '../../local/process-table.ts';
import { packageRoot } from '../../process/package-root.ts';
import { atExit } from '../harness/at-exit.ts';
import { asAdmin } from '../../local/database-copy.ts';
import { registerNamespace } from '../harness/namespace.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** The server that the Temporal CLI of local/temporal-programs.ts has inside, or the nearest that Go can build. */
const VERSION = 'v1.32.1';
const MODULE = 'go.temporal.io/server';
/** The first build compiles 1500 packages. */
const BUILD_TIMEOUT_MS = 40 * 60_000;
const PLUGIN = 'postgres12_pgx';

/** The programs of the Temporal server, built from its Go module. */
export interface TemporalPrograms {
  readonly server: string;
  readonly sqlTool: string;
}

/** Builds the server, or finds it built. @throws Error that says that Go is missing */
export async function buildTemporal(say: (line: string) => void): Promise<TemporalPrograms> {
  const folder = path.join(packageRoot(), '.cache', `temporal-server-${VERSION}`);
  const programs = { server: path.join(folder, 'server'), sqlTool: path.join(folder, 'sql') };
  if (existsSync(programs.server) && existsSync(programs.sqlTool)) return programs;
  const env = { ...process.env, GOBIN: folder, PATH: `${process.env.PATH ?? ''}:/usr/local/go/bin` };
  const go = await runCommand('go', ['version'], { env }).catch((cause: unknown) => {
    throw new Error('SHARDS ARE NOT MEASURED: they need Go (https://go.dev/dl), which is not installed.', { cause });
  });
  say(`Temporal: building ${MODULE}@${VERSION} with ${go.trim()}; the first time takes minutes`);
  const packages = ['cmd/server', 'cmd/tools/sql'].map((name) => `${MODULE}/${name}@${VERSION}`);
  await runCommand('go', ['install', ...packages], { env, timeoutMs: BUILD_TIMEOUT_MS });
  return programs;
}

export interface TemporalOnPostgres {
  readonly address: string;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** Starts a server with this many history shards, on new databases of a Postgres server. Its namespace is `default`. */
export async function startTemporalOnPostgres(options: {
  readonly programs: TemporalPrograms;
  readonly shards: number;
  /** Maintenance database of the Postgres that holds the histories. */
  readonly postgresUrl: string;
  /** For configuration and log. */
  readonly folder: string;
}): Promise<TemporalOnPostgres> {
  const { programs, shards, postgresUrl, folder } = options;
  const url = new URL(postgresUrl);
  for (const schema of ['temporal', 'visibility']) {
    const database = databaseOf(schema, shards);
    await asAdmin(postgresUrl, (client) => client.query(`create database ${database}`));
    const common = ['--ep', url.hostname, '-p', url.port, '-u', url.username, '--pw', url.password, '--pl', PLUGIN];
    const tool = (...args: string[]): Promise<string> =>
      runCommand(programs.sqlTool, [...common, '--db', database, ...args]);
    await tool('setup-schema', '-v', '0.0');
    await tool('update-schema', '--schema-name', `postgresql/v12/${schema}`);
  }
  const ports = await lowPorts(8);
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `temporal-${shards}.yaml`);
  writeFileSync(file, configuration(url, shards, ports));
  const child = await startChild({
    command: programs.server,
    args: ['--config-file', file, '--allow-no-auth', 'start'],
    // As local/temporal-server.ts runs the development server.
    env: { PATH: process.env.PATH, HOME: process.env.HOME, GOGC: '400' },
    logFile: path.join(folder, `temporal-${shards}.log`),
  });
  const forget = atExit(() => void signalProcess(child.pid, 'SIGKILL'));
  const stop = async (): Promise<void> => {
    await child.stop('SIGTERM', 10_000);
    forget();
  };
  const address = `${loopback}:${ports[0] ?? 0}`;
  try {
    await waitUntil(
      () => {
        if (!child.running()) throw new Error(`Temporal with ${shards} shards ended:\n${child.tail()}`);
        return registerNamespace(address, 'default').then(
          () => true,
          () => false,
        );
      },
      { what: `Temporal with ${shards} shards serves its namespace`, timeoutMs: 120_000, everyMs: 500 },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, pid: child.pid, stop };
}

/** Free ports. Temporal stores its own in a smallint, and the system gives out higher ones. */
async function lowPorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = 16_000 + randomInt(16_000);
    await assertPortFree(port, 'Temporal', 'none').then(
      () => found.add(port),
      () => undefined,
    );
  }
  return [...found];
}

function databaseOf(schema: string, shards: number): string {
  return `${schema}_${shards}`;
}

/** JSON, which is YAML. The server reads nothing from its environment then. */
function configuration(url: URL, shards: number, ports: readonly number[]): string {
  const [frontend, matching, history, worker, ...others] = ports;
  const store = (schema: string): object => ({
    sql: {
      pluginName: PLUGIN,
      databaseName: databaseOf(schema, shards),
      connectAddr: url.host,
      connectProtocol: 'tcp',
      user: url.username,
      password: decodeURIComponent(url.password),
      maxConns: 20,
      maxIdleConns: 20,
      maxConnLifetime: '1h',
    },
  });
  const service = (grpcPort: number | undefined, membership: number): object => ({
    rpc: { grpcPort, membershipPort: others[membership], bindOnIP: loopback },
  });
  return JSON.stringify({
    log: { stdout: true, level: 'warn' },
    persistence: {
      numHistoryShards: shards,
      defaultStore: 'default',
      visibilityStore: 'visibility',
      datastores: { default: store('temporal'), visibility: store('visibility') },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: loopback } },
    services: {
      frontend: service(frontend, 0),
      matching: service(matching, 1),
      history: service(history, 2),
      worker: service(worker, 3),
    },
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: {
          enabled: true,
          initialFailoverVersion: 1,
          rpcName: 'frontend',
          rpcAddress: `${loopback}:${frontend ?? 0}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: {
      filepath: path.join(packageRoot(), 'ops', 'temporal', 'dynamic-config.yaml'),
      pollInterval: '60s',
    },
  });
}
