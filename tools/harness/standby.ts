import { chmodSync, cpSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { runCommand } from '../../local/run-command.ts';
import { type Postgres, startPostgres } from '../../local/postgres.ts';

/** Files of the primary that a copy must not have. */
const NOT_COPIED = new Set(['postmaster.pid', 'postmaster.opts', 'pg_wal']);

/**
 * Makes a standby of a running Postgres that this machine runs, and starts it. It serves reads, and follows the primary by
 * streaming replication. The copy is made with the functions for backups, because `pg_basebackup` does not come with the binaries.
 * @param dataDir folder of the new server
 */
export async function startStandby(primary: Postgres, dataDir: string, say: (line: string) => void): Promise<Postgres> {
  // The backup lasts as long as this session.
  const session = new pg.Client({ connectionString: primary.url('postgres') });
  await session.connect();
  try {
    await session.query("select pg_backup_start('standby', true)");
    cpSync(primary.dataDir, dataDir, {
      recursive: true,
      filter: (source) => !NOT_COPIED.has(path.relative(primary.dataDir, source)),
    });
    const { rows } = await session.query<{ labelfile: string }>('select labelfile from pg_backup_stop()');
    writeFileSync(path.join(dataDir, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await session.end();
  }
  writeFileSync(path.join(dataDir, 'standby.signal'), '');
  cpSync(path.join(primary.dataDir, 'pg_wal'), path.join(dataDir, 'pg_wal'), {
    recursive: true,
    filter: (source) => statSync(source).isDirectory(),
  });
  // PostgreSQL runs as a user of its own when this process runs as root, and demands a private folder.
  const { uid, gid, mode } = statSync(primary.dataDir);
  await runCommand('chown', ['-R', `${uid}:${gid}`, dataDir]);
  chmodSync(dataDir, mode);
  const conninfo = primary.url('postgres');
  return startPostgres({
    dataDir,
    say,
    durable: false,
    flags: ['-c', `primary_conninfo=${conninfo}`, '-c', 'hot_standby=on'],
  });
}
