import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { postgresFlags } from '../ops/postgres/settings.ts';
import { describeExit, startChild, type Child, type Exit } from './child.ts';
import { assertPortFree, freePort, loopback } from './ports.ts';
import { postgresAccount, reachableFolder } from './postgres-account.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { clearStalePid, ensureCluster, postgresEnvironment, postgresUser } from './postgres-cluster.ts';
import { childProcesses, processIdentity, signalProcess } from './process-table.ts';

/** Enough time to recover a killed cluster, which may have to replay `max_wal_size` of changes. */
const startTimeoutMs = 120_000;

export type PostgresOptions = {
  /** Folder of the cluster. It is created if it does not exist. */
  dataDir: string;
  /** @default a free port */
  port?: number;
  /** Prints one line for the user. */
  say: (line: string) => void;
  /** More flags for `postgres`, for example `['-c', 'shared_buffers=64MB']`. They override ops/postgres/settings.ts. */
  flags?: readonly string[];
  /** False = fsync is off: faster, but a power failure may destroy the data. @default true */
  durable?: boolean;
  /** @default dataDir + '.log' */
  logFile?: string;
  /** File with the pid of the server. It exists while the server runs. */
  pidFile?: string;
  /** Ends the start: the server is killed, and the start rejects. */
  signal?: AbortSignal;
  /**
   * True = a server that this process started has just ended. Then PostgreSQL itself judges the lock file in its folder: it
   * refuses to start while processes of the ended server still use the memory that they share. @default false
   */
  isRestart?: boolean;
};

export type Postgres = {
  /** Connection URL of a database. @param database default `parley`, which exists */
  url: (database?: string) => string;
  readonly port: number;
  readonly pid: number;
  /** Folder of the data. It differs from `options.dataDir` if the server's system user cannot enter that folder. */
  readonly dataDir: string;
  readonly exited: Promise<Exit>;
  /** Fast shutdown: PostgreSQL rolls back open transactions and writes all data to disk. */
  stop: () => Promise<void>;
  /** Sends SIGKILL to the server and all its processes at once. Tests use it to simulate a crash. */
  kill9: () => Promise<void>;
  tail: () => string;
};

/** Starts PostgreSQL on the loopback address and waits until it accepts connections. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { say, flags = [], durable = true, pidFile, signal, isRestart = false } = options;
  if (options.port !== undefined) await assertPortFree(options.port, 'PostgreSQL', 'POSTGRES_PORT');
  const wanted = path.resolve(options.dataDir);
  const account = postgresAccount(wanted, say);
  const dataDir = reachableFolder(wanted, account, say);
  const { initdb, postgres } = postgresBinaries(account, say);
  if (!existsSync(path.join(dataDir, 'PG_VERSION'))) say(`PostgreSQL: creating a database cluster in ${dataDir}`);
  const password = await ensureCluster({ dataDir, initdb, account, durable });
  if (!isRestart) clearStalePid(dataDir);

  const port = options.port ?? (await freePort());
  const volatile = durable ? [] : ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'];
  // No Unix socket: it needs a lock file in a shared folder, which may be stale after a crash.
  const network = ['-p', String(port), '-c', `listen_addresses=${loopback}`, '-c', 'unix_socket_directories='];
  const child = await startChild({
    command: postgres,
    args: ['-D', dataDir, ...network, ...postgresFlags(), ...volatile, ...flags],
    env: postgresEnvironment(),
    cwd: '/',
    logFile: options.logFile ?? `${wanted}.log`,
    ...(account ?? {}),
    ...(pidFile === undefined ? {} : { pidFile }),
  });
  const url = (database = 'parley'): string =>
    `postgres://${postgresUser}:${password}@${loopback}:${port}/${encodeURIComponent(database)}`;
  try {
    await untilReady(child, url('postgres'), signal);
  } catch (error) {
    await crash(child);
    throw error;
  }
  return {
    url,
    port,
    pid: child.pid,
    dataDir,
    exited: child.exited,
    stop: () => child.stop('SIGINT', 30_000),
    kill9: () => crash(child),
    tail: () => child.tail(),
  };
}

async function untilReady(child: Child, url: string, signal: AbortSignal | undefined): Promise<void> {
  const end = Date.now() + startTimeoutMs;
  let pauseMs = 50;
  for (;;) {
    signal?.throwIfAborted();
    if (!child.running()) {
      throw new Error(`PostgreSQL ended while starting (${describeExit(await child.exited)}):\n${child.tail()}`);
    }
    try {
      await ensureDatabase(url, 'parley');
      return;
    } catch (cause) {
      if (Date.now() > end) {
        throw new Error(`PostgreSQL is not ready after ${startTimeoutMs / 1000} s:\n${child.tail()}`, { cause });
      }
    }
    // Each try costs the server a process, which a recovery could use better.
    await sleep(pauseMs);
    pauseMs = Math.min(pauseMs * 1.5, 300);
  }
}

async function ensureDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // Without a listener, a connection that breaks between two queries would end this process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

async function crash(child: Child): Promise<void> {
  if (!child.running()) return;
  // SIGSTOP first: the server must not start another process or clean up before all processes are killed.
  signalProcess(child.pid, 'SIGSTOP');
  const pids = [...childProcesses(child.pid), child.pid];
  for (const pid of pids) signalProcess(pid, 'SIGKILL');
  await child.exited;
  while (pids.some((pid) => processIdentity(pid) !== undefined)) await sleep(5);
}
