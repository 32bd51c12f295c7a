import path from 'node:path';
import { migrate, readSchema } from '../store/migrate.ts';
import { makePool } from '../store/pool.ts';
import { missingLogSettings } from './postgres/log-settings.ts';
import { loadConfigOrExit } from '../process/config.ts';
import { reasonOf } from '../process/database-problem.ts';
import { packageRoot } from '../process/package-root.ts';

/**
 * `npm run migrate`: migrates the database of DATABASE_URL to the current schema. Several processes may run it at once.
 */
const { databaseUrl: url } = loadConfigOrExit(process.env, 'migrate');
// The statement timeout is long, because building an index on a large table takes time.
const pool = makePool({ url, max: 1, name: 'parley-migrate', statementTimeoutMs: 3_600_000 });
try {
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
  process.stderr.write(`Cannot migrate the database: ${reasonOf(error, url)}\n`);
  process.exitCode = 1;
} finally {
  await pool.end();
}
