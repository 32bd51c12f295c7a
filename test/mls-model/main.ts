// `npm run mls-model`: the model run with more devices, steps and seeds. A failure prints its seed and what was done.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../ops/process/root.ts';
import { type ModelOptions, USAGE, environmentOf, parseModelOptions } from './options.ts';

let options: ModelOptions;
try {
  options = parseModelOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exit(2);
}
const root = packageRoot();
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const child = spawn(process.execPath, [vitest, 'run', 'test/mls-model'], {
  cwd: root,
  env: { ...process.env, ...environmentOf(options) },
  stdio: 'inherit',
});
child.once('exit', (code) => process.exit(code ?? 1));
