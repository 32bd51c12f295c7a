import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { useDatabase } from '../../harness/database.ts';
import { testFolder } from '../../harness/folder.ts';

// `npm run psql` where psql is not installed.

const database = useDatabase();

function psql(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  input = '',
): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(packageRoot(), 'dist', 'local', 'psql.js'), ...args],
    { env: { PATH: '', PARLEY_ENV_FILE: '/dev/null', ...env }, input, encoding: 'utf8' },
  );
  return { code: status, out: stdout, err: stderr };
}

test('one command, several results, and what is typed up to a semicolon', () => {
  const env = { DATABASE_URL: database().url };
  const one = psql(['-c', "select 'a' as letter, null as nothing; select count(*) from conversation"], env);
  expect(one).toMatchObject({ code: 0, err: '' });
  expect(one.out).toMatch(/letter[^]*a[^]*\(1 row\)[^]*count[^]*0[^]*\(1 row\)/);
  const typed = psql([], env, 'select\n  41 + 1 as answer;\nselect nonsense;\n');
  expect(typed.out).toMatch(/answer[^]*42/);
  expect(typed).toMatchObject({ code: 1, err: 'column "nonsense" does not exist\n' });
});

test('without a stack, and with a database that is away, it says what to do', () => {
  const folder = testFolder();
  expect(psql([], { PARLEY_DATA_DIR: folder })).toEqual({
    code: 1,
    out: '',
    err: `No stack runs in ${folder}. Run npm start first, or set DATABASE_URL.\n`,
  });
  expect(psql([], { DATABASE_URL: 'postgres://u@127.0.0.1:1/p' }).err).toBe(
    'DATABASE_URL: nothing listens at 127.0.0.1:1. Start PostgreSQL there, or correct host and port\n',
  );
});
