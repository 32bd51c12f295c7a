import path from 'node:path';
import { asAdmin } from '../../local/database-copy.ts';
import { packageRoot } from '../../process/package-root.ts';
import { migrate, readSchema } from '../../store/migrate.ts';
import { makePool } from '../../store/pool.ts';

/** URL of another database of the same server. */
export function databaseUrl(maintenanceUrl: string, name: string): string {
  const url = new URL(maintenanceUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/**
 * Creates a database.
 * @param template what to copy; without one the new database gets all tables
 * @returns its URL
 */
export async function createDatabase(maintenanceUrl: string, name: string, template?: string): Promise<string> {
  await asAdmin(maintenanceUrl, (client) =>
    client.query(`create database ${name} ${template === undefined ? '' : `template ${template}`}`),
  );
  const url = databaseUrl(maintenanceUrl, name);
  if (template === undefined) await migrateDatabase(url);
  return url;
}

/** Creates all tables and functions. */
export async function migrateDatabase(url: string): Promise<void> {
  const pool = makePool({ url, max: 1, name: 'harness', statementTimeoutMs: 60_000 });
  try {
    await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
  } finally {
    await pool.end();
  }
}
