import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { makePool } from '../../store/pool.ts';
import { asAdmin } from '../../local/database-copy.ts';
import { databaseUrl } from '../../tools/harness/databases.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

/** A database of its own for a test file: a clone of the migrated template. */
export interface TestDatabase {
  readonly url: string;
  readonly pool: pg.Pool;
  /** Drops it; fails when a connection was left open. */
  readonly drop: () => Promise<void>;
}

/** Clones the template. @param template what to clone; `template0` is an empty database */
export async function createTestDatabase(template = inject('templateDatabase')): Promise<TestDatabase> {
  const maintenanceUrl = inject('postgresUrl');
  const name = `parley_test_${randomBytes(8).toString('hex')}`;
  await asAdmin(maintenanceUrl, (client) => client.query(`create database ${name} template ${template}`));
  const url = databaseUrl(maintenanceUrl, name);
  const pool = makePool({ url, max: 10, name: 'test' });
  pool.on('error', () => undefined);
  return {
    url,
    pool,
    drop: async () => {
      await pool.end();
      await asAdmin(maintenanceUrl, async (client) => {
        let left: string[] = [];
        await waitUntil(async () => (left = await openConnections(client, name)).length === 0, {
          what: 'all connections are closed',
          timeoutMs: 5_000,
        }).catch(() => undefined);
        await client.query(`drop database ${name} with (force)`);
        if (left.length > 0) throw new Error(`Connections were left open: ${left.join(', ')}`);
      });
    },
  };
}

/** The database of a test file, made before its first test and dropped after its last. */
export function useDatabase(): () => TestDatabase {
  let database: TestDatabase | undefined;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database?.drop());
  return () => {
    if (database === undefined) throw new Error('The database exists only while tests run');
    return database;
  };
}

async function openConnections(client: pg.Client, database: string): Promise<string[]> {
  const { rows } = await client.query<{ connection: string }>(
    `select application_name || ' (' || left(query, 80) || ')' as connection from pg_stat_activity
     where datname = $1 and backend_type = 'client backend'`,
    [database],
  );
  return rows.map((row) => row.connection);
}
