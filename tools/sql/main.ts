import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { checksum, readSchema } from '../../store/schema.ts';
import { limitsSql } from './limits-sql.ts';

// `npm run sql-files`: writes store/limits.sql, and the hashes by which tests find out that SQL was changed.
const store = path.join(packageRoot(), 'store');
writeFileSync(path.join(store, 'limits.sql'), limitsSql());
const { migrations, functions } = await readSchema(store);

// Migrations that are in the list stay as they are for ever.
const migrationsFile = path.join(store, 'migrations', 'manifest.json');
const frozen = readManifest(migrationsFile);
writeManifest(migrationsFile, {
  ...Object.fromEntries(migrations.map(({ name, sql }) => [name, checksum(sql)])),
  ...frozen,
});

const functionsFile = path.join(store, 'functions.json');
const known = readManifest(functionsFile);
writeManifest(functionsFile, { ...known, [String(functions.version)]: functions.hash });

function readManifest(file: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  } catch {
    return {};
  }
}

function writeManifest(file: string, manifest: Record<string, string>): void {
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}
