import path from 'node:path';
import { type Postgres, startPostgres } from '../../../local/postgres.ts';
import { childProcesses, signalProcess } from '../../../local/process-table.ts';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { temporalCli } from '../../../local/temporal-programs.ts';
import { type Temporal, startTemporal } from '../../../local/temporal-server.ts';
import { atExit } from '../../harness/at-exit.ts';

/** A server that keeps its data and its port when it is killed and started again. */
export interface Restartable {
  /** host:port */
  readonly address: string;
  readonly pid: () => number;
  readonly isRunning: () => boolean;
  /** SIGKILL for the server and all its processes at once. */
  readonly kill: () => Promise<void>;
  /** Starts it again, if it does not run; resolves when it answers. */
  readonly start: () => Promise<void>;
  /** Sends a signal to the server and all its processes. */
  readonly signal: (signal: 'SIGSTOP' | 'SIGCONT') => void;
}

/** What both kinds of servers can do. */
type Server = Pick<Postgres & Temporal, 'pid' | 'exited' | 'kill9'>;

/**
 * @param start starts the server, on the given port when there is one
 */
async function makeRestartable<S extends Server>(
  start: (port?: number) => Promise<S>,
  addressOf: (server: S) => string,
): Promise<Restartable & { readonly first: S }> {
  let isRunning = false;
  const launch = async (port?: number): Promise<S> => {
    const server = await start(port);
    isRunning = true;
    void server.exited.then(() => {
      isRunning = false;
      forget();
    });
    const forget = atExit(() => void signalProcess(server.pid, 'SIGKILL'));
    return server;
  };
  const first = await launch();
  const address = addressOf(first);
  let current = first;
  return {
    first,
    address,
    pid: () => current.pid,
    isRunning: () => isRunning,
    kill: () => current.kill9(),
    start: async () => {
      if (!isRunning) current = await launch(Number(address.split(':')[1]));
    },
    signal: (signal) => {
      for (const pid of [...childProcesses(current.pid), current.pid]) signalProcess(pid, signal);
    },
  };
}

/** Postgres on a folder of its own. @returns also the URL of a database, behind any address */
export async function startOwnPostgres(
  dataDir: string,
): Promise<Restartable & { readonly urlAt: (address?: string) => string }> {
  const server = await makeRestartable(
    (port) =>
      startPostgres({
        dataDir,
        say: () => undefined,
        // A background writer that sleeps long leaves as much as possible to be lost in a crash.
        flags: ['-c', 'wal_writer_delay=10s', '-c', 'shared_buffers=64MB', '-c', 'max_wal_size=256MB'],
        ...(port === undefined ? {} : { port }),
      }),
    ({ port }) => `127.0.0.1:${port}`,
  );
  const url = server.first.url();
  return {
    ...server,
    urlAt: (address = server.address) => {
      const behind = new URL(url);
      behind.host = address;
      return behind.href;
    },
  };
}

/** Temporal with a database file. @param metricsPort of its own metrics; @default a free one */
export async function startOwnTemporal(folder: string, metricsPort?: number): Promise<Restartable> {
  const binary = await resolveProgram(temporalCli, { say: () => undefined });
  return makeRestartable(
    (port) =>
      startTemporal({
        binary,
        dataDir: path.join(folder, 'temporal'),
        say: () => undefined,
        ...(metricsPort === undefined ? {} : { metricsPort }),
        ...(port === undefined ? {} : { port }),
      }),
    ({ address }) => address,
  );
}
