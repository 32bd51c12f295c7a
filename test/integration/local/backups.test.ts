import { inject, expect, onTestFinished, test, beforeEach } from 'vitest';
import { openBackups, type Backups } from '../../../local/control/backups.ts';
import { asAdmin, databaseExists, databaseIn } from '../../../local/database-copy.ts';
import { makePool } from '../../../store/pool.ts';
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts';

// The backup that the web app restores: a copy of the database in the same server.

let database: TestDatabase;
let migrated: string[] = [];
const said: string[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  migrated = [];
  said.length = 0;
  const name = databaseIn(database.url);
  onTestFinished(async () => {
    await asAdmin(inject('postgresUrl'), async (admin) => {
      for (const end of ['backup', 'backup_next', 'restored', 'lost'])
        await admin.query(`drop database if exists ${name}_${end} with (force)`);
    });
    await database.drop();
  });
  await database.pool.query('create table note (text text)');
});

const open = (migrate = (url: string) => Promise.resolve(void migrated.push(url))): Promise<Backups> =>
  openBackups({ databaseUrl: database.url, migrate, say: (line) => said.push(line) });
const write = (text: string): Promise<unknown> => database.pool.query('insert into note values ($1)', [text]);
const notes = async (): Promise<string[]> =>
  (await database.pool.query<{ text: string }>('select text from note')).rows.map(({ text }) => text);
const exists = (end: string): Promise<boolean> =>
  asAdmin(inject('postgresUrl'), (admin) => databaseExists(admin, `${databaseIn(database.url)}${end}`));
const sql = (text: string): Promise<unknown> =>
  asAdmin(inject('postgresUrl'), (admin) => admin.query(text.replaceAll('$name', databaseIn(database.url))));

test('a restore brings back what was there, migrated, and the backup can be restored again', async () => {
  const backups = await open();
  expect(backups.takenAt()).toBeUndefined();
  await write('before');
  await backups.take();
  for (const text of ['lost', 'lost too']) {
    await write(text);
    await backups.restore();
    expect(await notes()).toEqual(['before']);
  }
  // Before it took the name: nobody sees a database of an older release.
  expect(migrated).toEqual([`${database.url}_restored`, `${database.url}_restored`]);
  expect(await Promise.all([exists('_backup'), exists('_restored'), exists('_lost')])).toEqual([true, false, false]);
});

test('there is one backup: the newest takes the place of the one before', async () => {
  const backups = await open();
  await write('first');
  await backups.take();
  await write('second');
  await backups.take();
  await write('third');
  await backups.restore();
  expect(await notes()).toEqual(['first', 'second']);
  expect(await exists('_backup_next')).toBe(false);
});

test('the backup is there after a restart of the stack, which takes another only if it is old', async () => {
  const first = await open();
  await first.takeAtStart();
  const takenAt = first.takenAt();
  const again = await open();
  expect(again.takenAt()).toBe(takenAt);
  await again.takeAtStart();
  expect(again.takenAt()).toBe(takenAt);

  await sql(`comment on database $name_backup is '1000'`);
  const late = await open();
  expect(late.takenAt()).toBe(1000);
  await late.takeAtStart();
  expect(late.takenAt()).toBeGreaterThanOrEqual(takenAt ?? Infinity);
});

test('a migration that fails changes nothing', async () => {
  const backups = await open(() => Promise.reject(new Error('no such table')));
  await backups.take();
  await write('after');
  await expect(backups.restore()).rejects.toThrow('no such table');
  expect(await notes()).toEqual(['after']);
});

test('what a killed stack left half done is mended: a closed database, copies, and a backup without its name', async () => {
  await write('kept');
  await sql('create database $name_lost');
  await sql('create database $name_restored');
  await (await open()).take();
  await sql('alter database $name_backup rename to $name_backup_next');
  await sql('alter database $name allow_connections false');
  const backups = await open();
  expect(await notes()).toEqual(['kept']);
  expect(backups.takenAt()).toBeGreaterThan(0);
  expect(await Promise.all(['_restored', '_lost', '_backup_next'].map(exists))).toEqual([false, false, false]);

  await sql('create database $name_backup_next');
  await open();
  expect(await exists('_backup_next')).toBe(false);
  expect(await exists('_backup')).toBe(true);
});

test('nobody can connect to the backup', async () => {
  await (await open()).take();
  const pool = makePool({ url: `${database.url}_backup`, max: 1, name: 'test' });
  onTestFinished(() => pool.end());
  await expect(pool.query('select 1')).rejects.toThrow('is not currently accepting connections');
});
