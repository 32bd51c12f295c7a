import type pg from 'pg';
import {
  asAdmin,
  copyDatabase,
  databaseExists,
  databaseIn,
  dropDatabase,
  openDatabase,
  quoted,
  replaceDatabase,
} from '../database-copy.ts';

/** A backup of a start that was long ago is not kept; quick restarts keep the one that they find. */
const FRESH_MS = 60 * 60_000;
/** A start must not wait for the copy of a large database: somebody can still ask for one. */
const MAX_BYTES_AT_START = 256 * 1024 * 1024;

/** A backup of Parley's database: a copy in the same server. There is never more than one. */
export type Backups = {
  /** Absent = there is none. */
  takenAt: () => number | undefined;
  /** Takes one at the start of the stack, unless there is a fresh one. Nobody may use the database yet. */
  takeAtStart: () => Promise<void>;
  /** Takes one. All connections to the database break for this moment. */
  take: () => Promise<void>;
  /** Makes the database what it was. All connections break. The service finds out by itself: this is another database. */
  restore: () => Promise<void>;
};

export type BackupsInput = {
  /** Of Parley's database. */
  databaseUrl: string;
  /** Applies the migrations to a database: a backup may be of an older release. */
  migrate: (databaseUrl: string) => Promise<void>;
  say: (line: string) => void;
};

/** Opens the backups of a database. What an earlier stack left half done is finished or removed. */
export async function openBackups({ databaseUrl, migrate, say }: BackupsInput): Promise<Backups> {
  const database = databaseIn(databaseUrl);
  const urlOf = (name: string): string => Object.assign(new URL(databaseUrl), { pathname: `/${name}` }).href;
  const names = {
    backup: `${database}_backup`,
    next: `${database}_backup_next`,
    restored: `${database}_restored`,
    lost: `${database}_lost`,
  };
  const inServer = <T>(run: (admin: pg.Client) => Promise<T>): Promise<T> => asAdmin(urlOf('postgres'), run);
  let takenAt = await inServer(async (admin) => {
    await openDatabase(admin, database);
    for (const name of [names.restored, names.lost]) await dropDatabase(admin, name);
    // The copy is complete, and only its name is not: the old one may be gone already.
    if ((await timeOf(admin, names.next)) !== undefined) await becomeTheBackup(admin, names);
    await dropDatabase(admin, names.next);
    return timeOf(admin, names.backup);
  });
  const take = async (): Promise<void> => {
    const now = Date.now();
    await inServer(async (admin) => {
      await dropDatabase(admin, names.next);
      await copyDatabase(admin, database, names.next);
      await admin.query(`comment on database ${quoted(names.next)} is '${now}'`);
      await becomeTheBackup(admin, names);
    });
    takenAt = now;
  };
  return {
    takenAt: () => takenAt,
    take,
    takeAtStart: async () => {
      if (takenAt !== undefined && Date.now() - takenAt < FRESH_MS) return;
      const bytes = await inServer((admin) => sizeOf(admin, database));
      if (bytes <= MAX_BYTES_AT_START) return take();
      say(`Database: ${Math.round(bytes / 1024 / 1024)} MB are too much for a backup at each start`);
    },
    restore: () =>
      inServer(async (admin) => {
        await dropDatabase(admin, names.restored);
        await copyDatabase(admin, names.backup, names.restored);
        await openDatabase(admin, names.restored);
        await migrate(urlOf(names.restored));
        await replaceDatabase(admin, { database, by: names.restored, away: names.lost });
        await dropDatabase(admin, names.lost);
      }),
  };
}

async function becomeTheBackup(admin: pg.Client, { backup, next }: { backup: string; next: string }): Promise<void> {
  await dropDatabase(admin, backup);
  await admin.query(`alter database ${quoted(next)} rename to ${quoted(backup)}`);
}

/** When a copy was complete. It is the comment on the database, so it goes where the copy goes. */
async function timeOf(admin: pg.Client, name: string): Promise<number | undefined> {
  if (!(await databaseExists(admin, name))) return undefined;
  const { rows } = await admin.query<{ comment: string | null }>(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
    [name],
  );
  const comment = rows[0]?.comment;
  return comment === null || comment === undefined ? undefined : Number(comment);
}

async function sizeOf(admin: pg.Client, name: string): Promise<number> {
  const { rows } = await admin.query<{ bytes: string }>('select pg_database_size($1) as bytes', [name]);
  return Number(rows[0]?.bytes ?? 0);
}
