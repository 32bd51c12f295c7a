import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** Sessions that are told to end do so at once; a server that is busy takes longer. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** The name of the database in a URL. */
export function databaseIn(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1));
}

/** Runs statements that belong to no single database, over a connection of their own. */
export async function asAdmin<T>(maintenanceUrl: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: maintenanceUrl, connectionTimeoutMillis: PATIENCE_MS });
  // Without a listener, a connection that breaks between two queries would end this process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await run(client);
  } finally {
    await client.end();
  }
}

/**
 * Copies a database. All connections to it break for this moment: Postgres copies only a database that nobody uses. Nobody can connect
 * to the copy.
 */
export async function copyDatabase(admin: pg.Client, database: string, copy: string): Promise<void> {
  await whileNobodyUses(admin, database, () =>
    admin.query(`create database ${quoted(copy)} template ${quoted(database)} allow_connections false`),
  );
}

/**
 * Puts another database in the place of this one, whose connections break. The two names change in one transaction: whenever this
 * process ends, there is a database of this name.
 * @param by takes the name
 * @param away the name of what was there before
 */
export async function replaceDatabase(
  admin: pg.Client,
  { database, by, away }: { readonly database: string; readonly by: string; readonly away: string },
): Promise<void> {
  await whileNobodyUses(admin, by, () =>
    whileNobodyUses(admin, database, async () => {
      await admin.query('begin');
      try {
        await admin.query(`alter database ${quoted(database)} rename to ${quoted(away)}`);
        await admin.query(`alter database ${quoted(by)} rename to ${quoted(database)}`);
        await admin.query('commit');
      } catch (error) {
        await admin.query('rollback');
        throw error;
      }
    }),
  );
}

/** Deletes a database, if there is one of this name. */
export async function dropDatabase(admin: pg.Client, database: string): Promise<void> {
  await admin.query(`drop database if exists ${quoted(database)} with (force)`);
}

/** Opens a database to connections, if there is one of this name: whoever closed it for a moment may have been killed then. */
export async function openDatabase(admin: pg.Client, database: string): Promise<void> {
  if (await databaseExists(admin, database)) await allowConnections(admin, database, true);
}

export async function databaseExists(admin: pg.Client, database: string): Promise<boolean> {
  return (await admin.query('select from pg_database where datname = $1', [database])).rowCount === 1;
}

/** @returns the name as SQL has it */
export function quoted(database: string): string {
  return pg.escapeIdentifier(database);
}

/** Closes the database to everybody, ends all its connections, and opens what has its name afterwards, unless it was closed before. */
async function whileNobodyUses(admin: pg.Client, database: string, change: () => Promise<unknown>): Promise<void> {
  const wasOpen = await isOpen(admin, database);
  await allowConnections(admin, database, false);
  try {
    const end = Date.now() + PATIENCE_MS;
    while (!(await isUnused(admin, database))) {
      if (Date.now() > end) throw new Error(`The database ${database} stays in use.`);
      await sleep(LOOK_EVERY_MS);
    }
    await change();
  } finally {
    if (wasOpen) await openDatabase(admin, database);
  }
}

async function isOpen(admin: pg.Client, database: string): Promise<boolean> {
  const { rowCount } = await admin.query('select from pg_database where datname = $1 and datallowconn', [database]);
  return rowCount === 1;
}

async function allowConnections(admin: pg.Client, database: string, areAllowed: boolean): Promise<void> {
  await admin.query(`alter database ${quoted(database)} allow_connections ${areAllowed}`);
}

/** Ends the sessions of a database. @returns whether there were none */
async function isUnused(admin: pg.Client, database: string): Promise<boolean> {
  const { rowCount } = await admin.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
    [database],
  );
  return rowCount === 0;
}
