import path from 'node:path';
import { migrate, readSchema } from '../store/migrate.ts';
import { makePool } from '../store/pool.ts';
import { packageRoot } from '../process/package-root.ts';

/** `npm run migrate`: brings the schema of DATABASE_URL up to date. Safe to run from several places at once. */
const url = process.env.DATABASE_URL;
if (url === undefined || url === '') {
  process.stderr.write('DATABASE_URL is required\n');
  process.exit(1);
}
// Long statements are all right here: building an index on a large table takes its time.
const pool = makePool({ url, max: 1, name: 'parley-migrate', statementTimeoutMs: 3_600_000 });
try {
  const applied = await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
  process.stdout.write(applied.length === 0 ? 'The schema is up to date.\n' : `Applied ${applied.join(', ')}.\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await pool.end();
}
