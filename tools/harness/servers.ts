import path from 'node:path';
import { startPostgres } from '../../local/postgres.ts';
import { signalProcess } from '../../local/process-table.ts';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { atExit } from './at-exit.ts';
import { createDatabase } from './databases.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface ServersOptions {
  /** Gets one line for each thing that happens. */
  readonly say: (line: string) => void;
  /**
   * True: as `npm start` runs them. False: Postgres does not wait for the disk, Temporal keeps everything in memory, and a
   * run may continue as new at any age: faster, and good enough for data that nobody needs afterwards. @default true
   */
  readonly durable?: boolean;
  /** URL of the maintenance database of a Postgres to use; the user must be allowed to create databases. @default its own */
  readonly postgresUrl?: string | undefined;
  /** Address of a Temporal server to use. @default its own */
  readonly temporalAddress?: string | undefined;
}

/** Postgres and Temporal. */
export interface Servers {
  /** URL of the maintenance database. */
  readonly postgresUrl: string;
  readonly temporalAddress: string;
  /** Of the servers started here, by name. */
  readonly pids: Readonly<Record<string, number>>;
  /** The file of the Temporal server started here; `undefined` = it is elsewhere, or keeps everything in memory. */
  readonly temporalFile: string | undefined;
  /** Makes a migrated database, or a copy of one made before. @returns its URL */
  readonly createDatabase: (name: string, copyOf?: string) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** Without it, a run that continues as new must be one second old, which tests with few operations wait for each time. */
const NO_MINIMAL_RUN_AGE = ['--dynamic-config-value', 'history.workflowIdReuseMinimalInterval="0s"'];

/** Starts both in a temporary folder, which is deleted at the end. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { say, durable = true } = options;
  const cleanup = createCleanup();
  const pids: Record<string, number> = {};
  const folder = temporaryFolder('servers');
  cleanup.add('folder', folder.remove);
  // Ctrl-C and failures end this process without a stop. The servers must end before their folder is removed.
  const forget = atExit(() => {
    for (const pid of Object.values(pids)) signalProcess(pid, 'SIGKILL');
  });
  cleanup.add('exit action', forget);

  const postgres = async (): Promise<string> => {
    if (options.postgresUrl !== undefined) return options.postgresUrl;
    const server = await startPostgres({ dataDir: path.join(folder.path, 'postgres'), say, durable });
    pids.postgres = server.pid;
    cleanup.add('postgres', () => server.stop());
    return server.url('postgres');
  };
  const temporal = async (): Promise<string> => {
    if (options.temporalAddress !== undefined) return options.temporalAddress;
    const server = await startTemporal({
      binary: await resolveProgram(temporalCli, { say }),
      dataDir: path.join(folder.path, 'temporal'),
      say,
      ...(durable ? {} : { inMemory: true, flags: NO_MINIMAL_RUN_AGE }),
    });
    pids.temporal = server.pid;
    cleanup.add('temporal', () => server.stop());
    return server.address;
  };
  const [postgresUrl, temporalAddress] = await Promise.allSettled([postgres(), temporal()]);
  if (postgresUrl.status === 'rejected' || temporalAddress.status === 'rejected') {
    await cleanup.run();
    throw postgresUrl.status === 'rejected' ? postgresUrl.reason : (temporalAddress as PromiseRejectedResult).reason;
  }
  return {
    postgresUrl: postgresUrl.value,
    temporalAddress: temporalAddress.value,
    pids,
    temporalFile:
      durable && options.temporalAddress === undefined ? path.join(folder.path, 'temporal', 'temporal.db') : undefined,
    createDatabase: (name, copyOf) => createDatabase(postgresUrl.value, name, copyOf),
    stop: () => cleanup.run(),
  };
}
