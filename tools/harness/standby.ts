import { chmodSync, cpSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { runCommand } from '../../local/run-command.ts';
import { type Postgres, startPostgres } from '../../local/postgres.ts';

/** Files of the primary that a copy must not have. */
const NOT_COPIED = new Set(['postmaster.pid', 'postmaster.opts', 'pg_wal']);

/**
 * Copies the files of a running Postgres that this machine runs, with the functions for backups, because `pg_basebackup` does not come
 * with the binaries. The copy needs the WAL of the time of the backup, from an archive or from the primary.
 * @param dataDir folder of the copy
 */
export async function copyCluster(primary: Postgres, dataDir: string): Promise<void> {
  // The backup lasts as long as this session.
  const session = new pg.Client({ connectionString: primary.url('postgres') });
  await session.connect();
  try {
    await session.query("select pg_backup_start('copy', true)");
    cpSync(primary.dataDir, dataDir, {
      recursive: true,
      filter: (source) => !NOT_COPIED.has(path.relative(primary.dataDir, source)),
    });
    const { rows } = await session.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)');
    writeFileSync(path.join(dataDir, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await session.end();
  }
  cpSync(path.join(primary.dataDir, 'pg_wal'), path.join(dataDir, 'pg_wal'), {
    recursive: true,
    filter: (source) => statSync(source).isDirectory(),
  });
  await giveTo(primary, dataDir);
}

/** PostgreSQL runs as a user of its own when this process runs as root, and demands a private folder. */
async function giveTo(owner: Postgres, folder: string): Promise<void> {
  const { uid, gid, mode } = statSync(owner.dataDir);
  await runCommand('chown', ['-R', `${uid}:${gid}`, folder]);
  chmodSync(folder, mode);
}

/**
 * Makes a standby of a running Postgres that this machine runs, and starts it. It serves reads, and follows the primary by
 * streaming replication.
 * @param dataDir folder of the new server
 * @param flags more flags for `postgres`
 */
export async function startStandby(
  primary: Postgres,
  dataDir: string,
  say: (line: string) => void,
  flags: readonly string[] = [],
): Promise<Postgres> {
  await copyCluster(primary, dataDir);
  writeFileSync(path.join(dataDir, 'standby.signal'), '');
  // In a file, so that it can be changed while the server runs.
  writeFileSync(
    path.join(dataDir, 'postgresql.auto.conf'),
    `primary_conninfo = '${primary.url('postgres')}?application_name=standby'\n`,
  );
  await giveTo(primary, dataDir);
  return startPostgres({ dataDir, say, durable: false, flags: ['-c', 'hot_standby=on', ...flags] });
}

/** Where a cluster archives its WAL. */
export interface Archive {
  readonly folder: string;
  /** Flags for the cluster. */
  readonly flags: readonly string[];
}

/** @param folder is created; any user may write into it */
export function makeArchive(folder: string): Archive {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o777);
  const command = `test ! -f ${folder}/%f && cp %p ${folder}/%f.part && mv ${folder}/%f.part ${folder}/%f`;
  return { folder, flags: ['-c', 'archive_mode=on', '-c', `archive_command=${command}`] };
}

/**
 * Recovers a copy of a cluster to a named point (`pg_create_restore_point`), and starts it as a primary.
 * @param dataDir made by `copyCluster`
 * @param port of the new server
 */
export function recoverTo(
  point: string,
  { dataDir, archive, port, say }: { dataDir: string; archive: Archive; port: number; say: (line: string) => void },
): Promise<Postgres> {
  writeFileSync(path.join(dataDir, 'recovery.signal'), '');
  const { uid, gid } = statSync(dataDir);
  return runCommand('chown', [`${uid}:${gid}`, path.join(dataDir, 'recovery.signal')]).then(() =>
    startPostgres({
      dataDir,
      port,
      say,
      flags: [
        ...archive.flags,
        ...['-c', `restore_command=cp ${archive.folder}/%f %p`],
        ...['-c', `recovery_target_name=${point}`, '-c', 'recovery_target_action=promote'],
      ],
    }),
  );
}

/** A snapshot of the disk of a cluster that does not run: no recovery, no other timeline. */
export async function copyStopped(from: Postgres, dataDir: string): Promise<void> {
  rmSync(dataDir, { recursive: true, force: true });
  cpSync(from.dataDir, dataDir, { recursive: true });
  await giveTo(from, dataDir);
}
