import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { read } from '../../harness/markdown.ts';

const FILE = 'client/api/openapi.ts';

test('client/api/openapi.ts is what `npm run client-types` makes of docs/openapi.json', async () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const [command, ...args] = scripts['client-types']?.replace(`--output ${FILE}`, '').trim().split(' ') ?? [];
  expect(command).toBe('openapi-typescript');
  // Without --output the command prints the types.
  const cli = path.join(packageRoot(), 'node_modules/openapi-typescript/bin/cli.js');
  const { stdout } = await promisify(execFile)(process.execPath, [cli, ...args], {
    cwd: packageRoot(),
    maxBuffer: 16 * 1024 * 1024,
  });
  expect(stdout === read(FILE), `${FILE} is out of date: run \`npm run client-types\``).toBe(true);
});
