import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { stackOptions } from '../../../local/options.ts';
import { findService, removeRunningStack, writeRunningStack } from '../../../local/service-url.ts';
import { testFolder } from '../../harness/folder.ts';

test('a service is found by PARLEY_URL, else by the stack that runs in the folder, else at the port of npm start', () => {
  const options = stackOptions({ PARLEY_DATA_DIR: testFolder(), PORT: '8099' }, '/');
  const { dataDir } = options;
  expect(findService({}, options)).toEqual({ url: 'http://127.0.0.1:8099', from: 'default' });
  writeRunningStack(dataDir, { pid: process.pid, url: 'http://127.0.0.1:8088' });
  expect(findService({ PARLEY_URL: ' ' }, options)).toEqual({ url: 'http://127.0.0.1:8088', from: 'npm start' });
  expect(findService({ PARLEY_URL: 'http://there' }, options)).toEqual({ url: 'http://there', from: 'PARLEY_URL' });
  // It has a password.
  expect(statSync(path.join(dataDir, 'running.json')).mode & 0o077).toBe(0);
  removeRunningStack(dataDir);
  expect(findService({}, options).from).toBe('default');
});

test('the note of a stack that was killed does not count', () => {
  const options = stackOptions({ PARLEY_DATA_DIR: testFolder() }, '/');
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  writeRunningStack(options.dataDir, { pid, url: 'http://127.0.0.1:8088' });
  expect(findService({}, options).from).toBe('default');
});
