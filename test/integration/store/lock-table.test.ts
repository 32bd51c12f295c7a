import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { useDatabase } from '../../harness/database.ts';

/** docs/explanation/locks.md lists every statement with a lock, and every table with a key to `conversation`. */
const database = useDatabase();
const root = packageRoot();
const page = readFileSync(path.join(root, 'docs/explanation/locks.md'), 'utf8');
/** Two functions are how others get the lock of a conversation. */
const LOCK =
  /\bfor (?:no key )?update\b|\bfor (?:key )?share\b|\bpg_(?:try_)?advisory\w*\(|\b(?:lock_conversation|expect_lock)\(/i;

/** Names in backticks. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

/** The first column of the table of statements with locks. */
function listed(): string[] {
  const [, table = ''] = page.split('## Every statement with locks');
  const [rows = ''] = table.split('These take no explicit lock');
  const columns = rows.split('\n').flatMap((line) => (line.startsWith('| `') ? [line.split('|')[1] ?? ''] : []));
  return columns.flatMap(namesIn).sort();
}

/** Statements in the code of the store that lock rows: by their names as prepared statements, else by their functions. */
function inTypeScript(): string[] {
  const files = readdirSync(path.join(root, 'store'), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !file.startsWith('migrat'))
    .flatMap((file) => {
      const code = readFileSync(path.join(root, 'store', file), 'utf8').replaceAll(/\/\*\*.*?\*\/|\/\/[^\n]*/gs, '');
      return code
        .split(/^(?=(?:export )?(?:async )?function )/m)
        .filter((part) => LOCK.test(part))
        .map((part) => /name: '([a-z-]+)'/.exec(part)?.[1] ?? /function (\w+)/.exec(part)?.[1] ?? file);
    });
}

test('the table of statements with locks is that of the code', async () => {
  const { rows } = await database().pool.query<{ name: string; body: string }>(
    `select distinct proname as name, prosrc as body from pg_proc where pronamespace = 'parley'::regnamespace`,
  );
  const inSql = rows.filter(({ body }) => LOCK.test(body.replaceAll(/--.*$/gm, ''))).map(({ name }) => name);
  // It has its locks from `try_decide`.
  const byOthers = ['decide_many'];
  expect(listed()).toEqual([...new Set([...inSql, ...inTypeScript(), ...byOthers])].sort());
});

test('the tables with a foreign key to a conversation are those that are written under its lock', async () => {
  const { rows } = await database().pool.query<{ table: string }>(
    `select conrelid::regclass::text as table from pg_constraint
     where contype = 'f' and confrelid = 'parley.conversation'::regclass order by 1`,
  );
  const [, keys = ''] = page.split('## Foreign keys');
  const [, written = ''] = keys.split('The others are written under the lock only');
  expect(namesIn(written).sort()).toEqual(rows.map(({ table }) => table));
});
