import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { startPostgres } from '../../local/postgres.ts';
import { signalProcess } from '../../local/process-table.ts';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import { migrate, readSchema } from '../../store/migrate.ts';
import { makePool } from '../../store/pool.ts';

/** Postgres and Temporal as `npm start` runs them: durable, with the same settings. */
export interface Servers {
  readonly postgresPid: number;
  readonly temporalPid: number;
  readonly temporalAddress: string;
  /** Makes a migrated database, or a copy of one made before, and gives its URL. */
  readonly createDatabase: (name: string, copyOf?: string) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** Starts both in a folder of their own, which is deleted at the end. */
export async function startServers(say: (line: string) => void): Promise<Servers> {
  const cleanup = createCleanup();
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-load-'));
  // PostgreSQL runs as a user of its own when this runs as root.
  chmodSync(folder, 0o755);
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  // Ctrl-C and failures end this process without a stop: nothing may be left behind then either.
  const pids: number[] = [];
  const onExit = (): void => {
    for (const pid of pids) signalProcess(pid, 'SIGKILL');
    remove();
  };
  process.once('exit', onExit);
  cleanup.add('folder', () => {
    process.off('exit', onExit);
    remove();
  });
  try {
    const postgres = await startPostgres({ dataDir: path.join(folder, 'postgres'), say });
    pids.push(postgres.pid);
    cleanup.add('postgres', () => postgres.stop());
    const temporal = await startTemporal({
      binary: await resolveProgram(temporalCli, { say }),
      dataDir: path.join(folder, 'temporal'),
      say,
    });
    pids.push(temporal.pid);
    cleanup.add('temporal', () => temporal.stop());
    return {
      postgresPid: postgres.pid,
      temporalPid: temporal.pid,
      temporalAddress: temporal.address,
      createDatabase: async (name, copyOf) => {
        const maintenance = new pg.Client({ connectionString: postgres.url('postgres') });
        await maintenance.connect();
        try {
          await maintenance.query(`create database ${name} ${copyOf === undefined ? '' : `template ${copyOf}`}`);
        } finally {
          await maintenance.end();
        }
        const url = postgres.url(name);
        if (copyOf === undefined) await migrateDatabase(url);
        return url;
      },
      stop: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

async function migrateDatabase(url: string): Promise<void> {
  const pool = makePool({ url, max: 1, name: 'load', statementTimeoutMs: 60_000 });
  try {
    await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
  } finally {
    await pool.end();
  }
}
