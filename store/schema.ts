import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { FUNCTIONS_VERSION } from './functions-version.ts';

const FILE_NAME = /^(\d{4})_.+\.sql$/;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** The schema that this version of the code needs. */
export interface Schema {
  /** Tables: each file once, in order, never edited after it landed. */
  readonly migrations: readonly Migration[];
  /** Functions (`create or replace`): all of them whenever one has changed. */
  readonly functions: { readonly version: number; readonly sql: string; readonly hash: string };
}

/** Reads `migrations/` and the functions of all other folders of `store`. */
export async function readSchema(folder: string): Promise<Schema> {
  const migrations = path.join(folder, 'migrations');
  const names = (await readdir(migrations)).filter((name) => FILE_NAME.test(name)).sort();
  return {
    migrations: await Promise.all(
      names.map(async (name) => ({
        version: Number(FILE_NAME.exec(name)?.[1]),
        name,
        sql: await readFile(path.join(migrations, name), 'utf8'),
      })),
    ),
    functions: await readFunctions(folder),
  };
}

async function readFunctions(folder: string): Promise<Schema['functions']> {
  const names = (await readdir(folder, { recursive: true }))
    .filter((name) => name.endsWith('.sql') && !name.startsWith('migrations'))
    .sort();
  const files = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')));
  const sql = files.join('\n');
  return { version: FUNCTIONS_VERSION, sql, hash: checksum(sql) };
}

/** SHA-256 of a text, in lower-case hex. */
export function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
