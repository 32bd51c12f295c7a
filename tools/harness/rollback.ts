import { asAdmin, copyDatabase, databaseIn, dropDatabase, replaceDatabase } from '../../local/database-copy.ts';

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
  const database = databaseIn(databaseUrl);
  const copy = `${database}_snapshot_${copies++}`;
  const by = `${database}_restored`;
  const away = `${database}_lost`;
  await asAdmin(maintenanceUrl, (admin) => copyDatabase(admin, database, copy));
  return {
    restore: () =>
      asAdmin(maintenanceUrl, async (admin) => {
        await copyDatabase(admin, copy, by);
        await replaceDatabase(admin, { database, by, away });
        await dropDatabase(admin, away);
      }),
    drop: () => asAdmin(maintenanceUrl, (admin) => dropDatabase(admin, copy)),
  };
}
