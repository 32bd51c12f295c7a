// `npm run fuzz` runs the fuzz tests with more requests and frames. A failure prints its seed and the request.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { optionsOrExit } from '../command-line.ts';
import { USAGE, environmentOf, parseFuzzOptions } from './options.ts';

const options = optionsOrExit(parseFuzzOptions, USAGE);
const root = packageRoot();
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const child = spawn(process.execPath, [vitest, 'run', 'test/model/fuzz'], {
  cwd: root,
  env: { ...process.env, ...environmentOf(options) },
  stdio: 'inherit',
});
child.once('exit', (code) => process.exit(code ?? 1));
