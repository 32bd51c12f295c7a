// `npm run fuzz`: the fuzz tests with more of everything. A failure prints its seed and the request.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { type FuzzOptions, USAGE, environmentOf, parseFuzzOptions } from './options.ts';

let options: FuzzOptions;
try {
  options = parseFuzzOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exit(2);
}
const root = packageRoot();
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const child = spawn(process.execPath, [vitest, 'run', 'test/model/fuzz'], {
  cwd: root,
  env: { ...process.env, ...environmentOf(options) },
  stdio: 'inherit',
});
child.once('exit', (code) => process.exit(code ?? 1));
