import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { dynamicConfigFlags } from '../ops/temporal/dynamic-config.ts';
import { describeExit, startChild, type Child, type Exit } from './child.ts';
import { assertPortFree, freePort, loopback, portAnswers } from './ports.ts';

const startTimeoutMs = 60_000;

export type TemporalOptions = {
  /** Path of the Temporal CLI, see `resolveProgram`. */
  binary: string;
  /** For the log and, unless in memory, the data. */
  dataDir: string;
  /** Everything is forgotten when the server ends. @default false */
  inMemory?: boolean;
  /** @default a free one */
  port?: number;
  /** Port of the Web UI. @default no Web UI */
  uiPort?: number;
  /** Port of the server's own metrics. @default a free one */
  metricsPort?: number;
  /** A namespace to create; `default` is always there. @default 'default' */
  namespace?: string;
  /** Told what is going on, one line at a time. */
  say: (line: string) => void;
  /** Further flags of `temporal server start-dev`; dynamic values given here win. */
  flags?: readonly string[];
  /** @default dataDir/temporal.log */
  logFile?: string;
  /** Kept while the server runs, for the clean-up after a killed supervisor. */
  pidFile?: string;
};

export type Temporal = {
  readonly address: string;
  readonly uiUrl: string | undefined;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  stop: () => Promise<void>;
  /** SIGKILL: a crash, for tests. */
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

  // SQLite's write-ahead log with `normal` survives a crash of any process; only a power loss can take the last moments.
  const pragmas = ['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'];
  const storage = inMemory ? [] : ['--db-filename', path.join(dataDir, 'temporal.db'), ...pragmas];
  const child = await startChild({
    command: binary,
    args: [
      ...['server', 'start-dev', '--ip', loopback, '--port', String(port), '--namespace', namespace],
      ...['--log-level', 'warn', '--log-format', 'json'],
      ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
      ...(metricsPort === undefined ? [] : ['--metrics-port', String(metricsPort)]),
      ...[...storage, ...dynamicConfigFlags(), ...flags],
    ],
    env: serverEnvironment(process.env),
    logFile: options.logFile ?? path.join(dataDir, 'temporal.log'),
    ...(pidFile === undefined ? {} : { pidFile }),
  });
  const address = `${loopback}:${port}`;
  try {
    await untilServing({ what: 'Temporal', child, port, namespace });
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
async function untilServing(server: { what: string; child: Child; port: number; namespace: string }): Promise<void> {
  const { what, child, port, namespace } = server;
  const end = Date.now() + startTimeoutMs;
  let failure: unknown;
  while (Date.now() < end) {
    if (!child.running()) {
      throw new Error(`${what} ended while starting (${describeExit(await child.exited)}):\n${child.tail()}`);
    }
    try {
      // A gRPC channel that was refused once waits a second before it tries again; a socket does not.
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

/** The CLI takes its flags from TEMPORAL_* as well, and ours are meant for the client. */
function serverEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_'));
  // Less garbage collection for more memory: up to 30 % more messages per second.
  return { ...Object.fromEntries(own), GOGC: env.GOGC ?? '400' };
}
