import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { Account } from './postgres-account.ts';
import { commandLine, processIdentity } from './process-table.ts';
import { runCommand } from './run-command.ts';

/** The superuser of the clusters that Parley creates. */
export const postgresUser = 'parley';

const passwordFile = 'parley-password';

export type ClusterOptions = { dataDir: string; initdb: string; account: Account | undefined; durable: boolean };

/** Creates the database cluster if there is none. @returns the password of the superuser */
export async function ensureCluster(options: ClusterOptions): Promise<string> {
  const { dataDir } = options;
  if (!existsSync(path.join(dataDir, 'PG_VERSION'))) await createCluster(options);
  try {
    return readFileSync(path.join(dataDir, passwordFile), 'utf8').trim();
  } catch (cause) {
    throw new Error(
      `${dataDir} contains a database cluster that Parley did not create. Set PARLEY_DATA_DIR to another folder.`,
      { cause },
    );
  }
}

/**
 * Creates the cluster under another name and renames it when complete. So an interrupted start leaves no incomplete
 * cluster.
 */
async function createCluster({ dataDir, initdb, account, durable }: ClusterOptions): Promise<void> {
  if (existsSync(dataDir) && readdirSync(dataDir).length > 0) {
    throw new Error(`${dataDir} is not empty and contains no database cluster. Set PARLEY_DATA_DIR to another folder.`);
  }
  const staging = `${dataDir}.new-${randomBytes(4).toString('hex')}`;
  const password = `${staging}.password`;
  mkdirSync(staging, { recursive: true, mode: 0o700 });
  writeFileSync(password, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  if (account !== undefined) {
    for (const file of [staging, password]) chownSync(file, account.uid, account.gid);
  }
  try {
    const flags = [
      '--encoding=UTF8',
      '--locale=C',
      '--auth=scram-sha-256',
      `--username=${postgresUser}`,
      `--pwfile=${password}`,
    ];
    if (!durable) flags.push('--no-sync');
    await runCommand(initdb, [`--pgdata=${staging}`, ...flags], { ...account, cwd: '/', env: postgresEnvironment() });
    renameSync(password, path.join(staging, passwordFile));
    renameSync(staging, dataDir);
  } finally {
    rmSync(staging, { recursive: true, force: true });
    rmSync(password, { force: true });
  }
}

/**
 * Removes a `postmaster.pid` that names no server of this cluster. PostgreSQL refuses to start if the pid in this file
 * is in use, even by another program. That is likely after a crash in a container, where pids repeat.
 * @throws Error if a server of this cluster is running
 */
export function clearStalePid(dataDir: string): void {
  const file = path.join(dataDir, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  if (Number.isInteger(pid) && pid > 0 && processIdentity(pid) !== undefined && commandLine(pid).includes(dataDir)) {
    throw new Error(`PostgreSQL is already running on ${dataDir} (process ${pid}). Stop this process first.`);
  }
  rmSync(file, { force: true });
}

/** A minimal environment. The user's PG* variables would change the server, and macOS needs a locale. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C' };
}
