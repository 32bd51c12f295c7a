import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { startPostgres } from '../../local/postgres.ts';
import { signalProcess } from '../../local/process-table.ts';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import { migrate, readSchema } from '../../store/migrate.ts';
import { makePool } from '../../store/pool.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of the maintenance database of the one Postgres of this run. */
    postgresUrl: string;
    /** Name of the migrated database that tests clone. */
    templateDatabase: string;
    /** Address of the one Temporal server of this run. */
    temporalAddress: string;
  }
}

/** What the setup of a run shares: how to give things back, in order or (when the process is ending) at once. */
interface Run {
  readonly folder: string;
  readonly later: (name: string, release: () => Promise<void> | void) => void;
  readonly killAtExit: (pid: number) => void;
}

/**
 * One Postgres and one Temporal server for the whole run. `TEST_DATABASE_URL` (a maintenance database, with the right to
 * create databases) and `TEST_TEMPORAL_ADDRESS` name servers to use instead.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cleanup = createCleanup();
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-tests-'));
  // PostgreSQL runs as a user of its own when the tests run as root.
  chmodSync(folder, 0o755);
  const pids = new Set<number>();
  // Ctrl-C ends this process without the teardown: nothing may be left behind then either.
  const cleanUpNow = (): void => {
    for (const pid of pids) signalProcess(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  process.once('exit', cleanUpNow);
  cleanup.add('folder', () => {
    process.off('exit', cleanUpNow);
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  const run: Run = { folder, later: cleanup.add, killAtExit: (pid) => pids.add(pid) };
  try {
    const [postgresUrl, temporalAddress] = await Promise.all([postgres(run), temporal(run)]);
    const templateDatabase = `parley_template_${process.pid}`;
    await makeTemplate(postgresUrl, templateDatabase);
    cleanup.add('template', () => asAdmin(postgresUrl, `drop database if exists ${templateDatabase} with (force)`));
    project.provide('postgresUrl', postgresUrl);
    project.provide('templateDatabase', templateDatabase);
    project.provide('temporalAddress', temporalAddress);
  } catch (error) {
    await cleanup.run();
    throw error;
  }
  return () => cleanup.run();
}

async function postgres({ folder, later, killAtExit }: Run): Promise<string> {
  const given = process.env.TEST_DATABASE_URL ?? '';
  if (given !== '') return given;
  // Nothing outlives the run, so nothing needs to survive a power loss.
  const server = await startPostgres({ dataDir: path.join(folder, 'postgres'), say, durable: false });
  killAtExit(server.pid);
  later('postgres', () => server.stop());
  return server.url('postgres');
}

async function temporal({ folder, later, killAtExit }: Run): Promise<string> {
  const given = process.env.TEST_TEMPORAL_ADDRESS ?? '';
  if (given !== '') return given;
  const server = await startTemporal({
    binary: await resolveProgram(temporalCli, { say }),
    dataDir: path.join(folder, 'temporal'),
    inMemory: true,
    // Runs that continue as new every few operations would else wait for a second of age each time.
    flags: ['--dynamic-config-value', 'history.workflowIdReuseMinimalInterval="0s"'],
    say,
  });
  killAtExit(server.pid);
  later('temporal', () => server.stop());
  return server.address;
}

async function makeTemplate(maintenanceUrl: string, name: string): Promise<void> {
  await asAdmin(maintenanceUrl, `create database ${name}`);
  const url = new URL(maintenanceUrl);
  url.pathname = `/${name}`;
  const pool = makePool({ url: url.href, max: 1, name: 'tests', statementTimeoutMs: 60_000 });
  try {
    await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
  } finally {
    await pool.end();
  }
}

async function asAdmin(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
