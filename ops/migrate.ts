import path from 'node:path';
import pg from 'pg';
import { ensureError } from '../domain/errors.ts';
import { migrate, readSchema } from '../store/migrate.ts';
import { makePool } from '../store/pool.ts';
import { checkConnections } from '../store/pooler.ts';
import { type DatabaseServer, connectionOf } from '../store/server.ts';
import { roleSettings } from '../store/session-settings.ts';
import { missingLogSettings } from './postgres/log-settings.ts';
import { loadConfigOrExit } from '../process/config.ts';
import { reasonOf } from '../process/database-problem.ts';
import { packageRoot } from '../process/package-root.ts';

/**
 * `npm run migrate`: migrates the database of DATABASE_URL to the current schema. Several processes may run it at once. Where
 * DATABASE_URL leads to a pooler, it also gives the role the settings that its sessions need.
 */
const { database } = loadConfigOrExit(process.env, 'migrate');
// The statement timeout is long, because building an index on a large table takes time.
const pool = makePool({ ...database.direct, max: 1, name: 'parley-migrate', statementTimeoutMs: 3_600_000 });
try {
  await checkConnections(database, false);
  for (const way of new Set([database.main, database.direct])) await setRoleSettings(way);
  const applied = await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
  process.stdout.write(
    applied.length === 0
      ? 'The database schema is already up to date.\n'
      : `Applied to the database: ${applied.join(', ')}\n`,
  );
  const missing = await missingLogSettings(pool);
  if (missing.length > 0) {
    process.stderr.write(
      `The PostgreSQL server writes user ids and ciphertext to its log. Set ${missing.join(' and ')} (docs/how-to/operate.md).\n`,
    );
  }
} catch (error) {
  process.stderr.write(`Cannot migrate the database: ${reasonOf(error, database.main.url)}\n`);
  process.exitCode = 1;
} finally {
  await pool.end();
}

/** Behind a pooler, as the role itself: every role may set its own defaults. */
async function setRoleSettings(way: DatabaseServer): Promise<void> {
  const client = new pg.Client(connectionOf(way));
  await client.connect();
  try {
    const statements = await roleSettings(client);
    if (statements.length === 0) return;
    await client.query(statements.join('\n')).catch((error: unknown) => {
      throw new Error(
        `the role may not change its own settings (${ensureError(error).message}). Run this as a role that may:\n${statements.join('\n')}`,
      );
    });
    process.stdout.write(`The database is behind a pooler, so its role has new settings:\n${statements.join('\n')}\n`);
  } finally {
    await client.end();
  }
}
