import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../process/package-root.ts';
import { optionsOrExit } from '../command-line.ts';
import { EDGE_TOOLS } from './catalogue.ts';
import { TOOLS_VARIABLE } from './found-tools.ts';
import { installTool } from './installers.ts';
import { messageOf } from '../../process/message-of.ts';

const USAGE = `Usage: npm run test:edges -- [--all] [test file ...]
Installs the programs that npm cannot install into .cache/edges, and runs the tests of test/edges with them.
  --all  a program that cannot be had is a failure; without it, its tests are left out, and the output says so`;

const { values, positionals } = optionsOrExit(
  (args) =>
    parseArgs({ args: [...args], options: { all: { type: 'boolean', default: false } }, allowPositionals: true }),
  USAGE,
);

const root = packageRoot();
const found = new Map<string, string>();
const missing: string[] = [];
for (const tool of EDGE_TOOLS) {
  try {
    const program = await installTool(tool, path.join(root, '.cache', 'edges'));
    found.set(tool.name, program);
    say(`${tool.name}: ${path.relative(root, program)}`);
  } catch (error) {
    missing.push(`${tool.name} (${tool.why}): ${messageOf(error)}`);
    say(`${tool.name}: cannot be had`);
  }
}

// Before the tests: the last line of the output is their count, in which what was left out stands as skipped.
for (const each of missing) say(`LEFT OUT: ${each}`);
if (missing.length > 0 && values.all) {
  say('Something would be left out, and --all forbids it.');
  process.exit(1);
}
process.exitCode = await runTests(positionals);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function runTests(files: readonly string[]): Promise<number> {
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const config = path.join(root, 'vitest.edges.config.ts');
  const child = spawn(process.execPath, [vitest, 'run', '--config', config, ...files], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, [TOOLS_VARIABLE]: JSON.stringify(Object.fromEntries(found)) },
  });
  return new Promise((resolve) => child.once('close', (exit) => resolve(exit ?? 1)));
}
