import type pg from 'pg';
import { asAdmin } from './databases.ts';
import { waitUntil } from './wait-until.ts';

/** The state of a database at one moment, to which it can go back. */
export interface Snapshot {
  /**
   * Makes the database what it was at that moment, as after a point in time recovery: everything committed since is gone, and
   * every connection breaks. A service that runs on it goes on. May be called again and again.
   */
  readonly restore: () => Promise<void>;
  /** Deletes the copy. */
  readonly drop: () => Promise<void>;
}

let copies = 0;

/**
 * Remembers the state of a database. All connections to it break for this moment: Postgres copies only a database that nobody
 * uses.
 * @param maintenanceUrl of a database of the same server, of a superuser
 */
export async function takeSnapshot(maintenanceUrl: string, databaseUrl: string): Promise<Snapshot> {
  const database = new URL(databaseUrl).pathname.slice(1);
  const copy = `${database}_snapshot_${copies++}`;
  const away = `${database}_lost`;
  await asAdmin(maintenanceUrl, (admin) =>
    whileNobodyUses(admin, database, () => admin.query(`create database ${copy} template ${database}`)),
  );
  return {
    restore: () =>
      asAdmin(maintenanceUrl, async (admin) => {
        await admin.query(`create database ${away} template ${copy} allow_connections false`);
        await whileNobodyUses(admin, database, async () => {
          await admin.query(`alter database ${database} rename to ${away}_old`);
          await admin.query(`alter database ${away} rename to ${database}`);
        });
        await admin.query(`drop database ${away}_old`);
      }),
    drop: async () => {
      await asAdmin(maintenanceUrl, (admin) => admin.query(`drop database ${copy}`));
    },
  };
}

/** Closes the database to everybody, ends all its connections, and opens what has its name afterwards. */
async function whileNobodyUses(admin: pg.Client, database: string, change: () => Promise<unknown>): Promise<void> {
  await admin.query(`alter database ${database} allow_connections false`);
  try {
    await waitUntil(
      async () => {
        const { rowCount } = await admin.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
          [database],
        );
        return rowCount === 0;
      },
      { what: `nobody uses ${database}` },
    );
    await change();
  } finally {
    await admin.query(`alter database ${database} allow_connections true`);
  }
}
