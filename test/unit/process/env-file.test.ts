import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../process/config.ts';
import { type Environment, readEnvironment } from '../../../process/env-file.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { testFolder } from '../../harness/folder.ts';

function environmentWith(text: string, given: NodeJS.ProcessEnv = {}): Environment {
  const folder = testFolder();
  writeFileSync(path.join(folder, '.env'), text);
  return readEnvironment(given, folder);
}

test('without a file the environment is what it was', () => {
  expect(readEnvironment({ A: '1' }, testFolder())).toEqual({ env: { A: '1' }, problems: [], places: {} });
});

test('a file that was asked for and is not there is a problem', () => {
  const { problems } = readEnvironment({ PARLEY_ENV_FILE: 'other.env' }, testFolder());
  expect(problems).toEqual([expect.stringMatching(/^PARLEY_ENV_FILE: other\.env cannot be read: ENOENT/)]);
});

test('the environment wins, also when it is empty', () => {
  const { env, places, problems } = environmentWith('PORT=1\nHOST=a\nexport JWT_AUDIENCE="x # y"\n', {
    PORT: '2',
    HOST: '',
  });
  expect(env).toMatchObject({ PORT: '2', HOST: '', JWT_AUDIENCE: 'x # y' });
  expect(problems).toEqual([]);
  expect(places).toEqual({ JWT_AUDIENCE: '.env, line 3' });
});

test('a process of npm start has everything already, and reads no file', () => {
  expect(environmentWith('PORT=1', { PARLEY_SUPERVISED: '1' }).env.PORT).toBeUndefined();
});

test('each bad line and each unknown name is told with its line', () => {
  const text = [
    '\uFEFF# comment',
    'POTR=1',
    'FOO=1',
    'POSTGRESS_PORT=1',
    'database_url=x',
    'just words',
    'DATABASE_PASSWORD=ab#cd',
    "LOG_SALT='no end",
    'PORT=1',
    'PORT=2',
    'COMPOSE_PROJECT_NAME=parley',
    '',
  ].join('\r\n');
  expect(environmentWith(text).problems).toEqual([
    '.env, line 2: POTR is unknown: did you mean PORT?',
    '.env, line 3: FOO is unknown',
    '.env, line 4: POSTGRESS_PORT is unknown: did you mean POSTGRES_PORT?',
    '.env, line 5: database_url is unknown: did you mean DATABASE_URL?',
    '.env, line 6: a line is NAME=value, or begins with #',
    '.env, line 7: what follows the # is a comment. Put the value of DATABASE_PASSWORD into quotes',
    '.env, line 8: the quote of LOG_SALT has no end',
    '.env, line 10: PORT is set in line 9 too',
  ]);
});

test('a value of several lines in quotes is one value', () => {
  const { env, problems } = environmentWith('LOG_SALT="one\nPOTR=two"\nPORT=3\n');
  expect([env.LOG_SALT, env.PORT, problems]).toEqual(['one\nPOTR=two', '3', []]);
});

test('a wrong value is told with its line', () => {
  const { env, ...file } = environmentWith('# first\nPORT=80x\n', { TEMPORAL_ADDRESS: 'a:1', EPOCH_WINDOW: '9' });
  expect(() => loadConfig(env, 'namespace', file)).toThrow(
    /- PORT must be a whole number from 0 to 65535 \(\.env, line 2\)\n {2}- EPOCH_WINDOW must be a whole number from 0 to 4\n/,
  );
});

test('.env.example is a file without mistakes, as it is and with every line switched on', () => {
  const text = readFileSync(path.join(packageRoot(), '.env.example'), 'utf8');
  expect(environmentWith(text).problems).toEqual([]);
  const on = environmentWith(text.replaceAll(/^#(?=[A-Z_]+=)/gm, ''));
  expect(on.problems).toEqual([]);
  expect(Object.keys(on.env).length).toBeGreaterThan(60);
});
