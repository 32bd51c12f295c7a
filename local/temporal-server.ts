import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { dynamicConfigFlags } from '../ops/temporal/dynamic-config.ts';
import { searchAttributeFlags } from '../ops/temporal/search-attributes.ts';
import { describeExit, startChild, type Child, type Exit } from './child.ts';
import { assertPortFree, freePort, loopback, portAnswers } from './ports.ts';

const startTimeoutMs = 60_000;

export type TemporalOptions = {
  /** Path of the Temporal CLI, see `resolveProgram`. */
  binary: string;
  /** Folder for the log and the data. */
  dataDir: string;
  /** True = the data is in memory and is lost when the server ends. @default false */
  inMemory?: boolean;
  /** @default a free port */
  port?: number;
  /** Port of the Web UI. @default no Web UI */
  uiPort?: number;
  /** Port of the server's own metrics. @default a free port */
  metricsPort?: number;
  /** A namespace to create. The namespace `default` always exists. @default 'default' */
  namespace?: string;
  /** Prints one line for the user. */
  say: (line: string) => void;
  /** More flags for `temporal server start-dev`. Their dynamic values override ours. */
  flags?: readonly string[];
  /** @default dataDir/temporal.log */
  logFile?: string;
  /** File with the pid of the server. It exists while the server runs. */
  pidFile?: string;
  /** Ends the start: the server is killed, and the start rejects. */
  signal?: AbortSignal;
};

export type Temporal = {
  readonly address: string;
  readonly uiUrl: string | undefined;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  stop: () => Promise<void>;
  /** Sends SIGKILL. Tests use it to simulate a crash. */
  kill9: () => Promise<void>;
  tail: () => string;
};

/** Starts Temporal's development server and waits until it answers for the namespace. */
export async function startTemporal(options: TemporalOptions): Promise<Temporal> {
  const { binary, inMemory = false, uiPort, metricsPort, namespace = 'default', say, flags = [], pidFile } = options;
  if (options.port !== undefined) await assertPortFree(options.port, 'Temporal', 'TEMPORAL_PORT');
  if (uiPort !== undefined) await assertPortFree(uiPort, 'the Temporal Web UI', 'TEMPORAL_UI_PORT');
  const dataDir = path.resolve(options.dataDir);
  mkdirSync(dataDir, { recursive: true });
  const port = options.port ?? (await freePort());
  say(`Temporal: starting on port ${port}${inMemory ? ' (in memory)' : ''}`);

  // With SQLite's write-ahead log and `NORMAL`, a crash of a process loses no data. A power failure may lose the last
  // writes.
  const pragmas = ['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'];
  const storage = inMemory ? [] : ['--db-filename', path.join(dataDir, 'temporal.db'), ...pragmas];
  const child = await startChild({
    command: binary,
    args: [
      ...['server', 'start-dev', '--ip', loopback, '--port', String(port), '--namespace', namespace],
      ...['--log-level', 'warn', '--log-format', 'json'],
      ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
      ...(metricsPort === undefined ? [] : ['--metrics-port', String(metricsPort)]),
      ...[...storage, ...dynamicConfigFlags(), ...searchAttributeFlags(), ...flags],
    ],
    env: serverEnvironment(process.env),
    logFile: options.logFile ?? path.join(dataDir, 'temporal.log'),
    ...(pidFile === undefined ? {} : { pidFile }),
  });
  const address = `${loopback}:${port}`;
  try {
    await untilServing({ what: 'Temporal', child, port, namespace, signal: options.signal });
  } catch (error) {
    await child.stop('SIGKILL', 0);
    throw error;
  }
  return {
    address,
    uiUrl: uiPort === undefined ? undefined : `http://${loopback}:${uiPort}`,
    pid: child.pid,
    exited: child.exited,
    stop: () => child.stop('SIGTERM', 10_000),
    kill9: () => child.stop('SIGKILL', 0),
    tail: () => child.tail(),
  };
}

/** Waits until a server answers for a namespace over gRPC; fails at once when its process ends. */
async function untilServing(server: {
  what: string;
  child: Child;
  port: number;
  namespace: string;
  signal: AbortSignal | undefined;
}): Promise<void> {
  const { what, child, port, namespace, signal } = server;
  const end = Date.now() + startTimeoutMs;
  let failure: unknown;
  while (Date.now() < end) {
    signal?.throwIfAborted();
    if (!child.running()) {
      throw new Error(`${what} ended while starting (${describeExit(await child.exited)}):\n${child.tail()}`);
    }
    try {
      // Try a plain socket first: after a refused connection, a gRPC channel waits a second before it tries again.
      if (await portAnswers(port)) {
        await describeNamespace(`${loopback}:${port}`, namespace);
        return;
      }
    } catch (error) {
      failure = error;
    }
    await sleep(50);
  }
  throw new Error(`${what} is not ready after ${startTimeoutMs / 1000} s:\n${child.tail()}`, { cause: failure });
}

async function describeNamespace(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 2_000 });
  try {
    await connection.withDeadline(Date.now() + 5_000, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  } finally {
    await connection.close();
  }
}

/** The Temporal CLI also reads flags from TEMPORAL_* variables. Ours are for the client, so they are removed. */
function serverEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_'));
  // Less garbage collection, but more memory: up to 30 % more messages per second.
  return { ...Object.fromEntries(own), GOGC: env.GOGC ?? '400' };
}
