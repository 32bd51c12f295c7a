import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../process/package-root.ts';
import { freePort } from '../../local/ports.ts';
import { useFolder } from '../harness/folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { type Block, blocksOf, read } from '../harness/markdown.ts';

const PAGE = 'docs/tutorial/first-encrypted-group.md';
const START = 'npm start\n';
const START_LIMIT_MS = 90_000;
const STEPS_LIMIT_MS = 60_000;

const root = packageRoot();
const folder = useFolder();
const blocks = blocksOf(read(PAGE));
let environment: NodeJS.ProcessEnv;
let url: string;
let service: ChildProcess | undefined;
let said = '';

/** A block of commands and its output in the tutorial. */
interface Step {
  readonly commands: string;
  readonly output: string | undefined;
}

/** Runs `npm start` and `npm run <name> -- …` as in package.json, without the build, which runs before all tests. */
const npm = `#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
const args = process.argv.slice(2).filter((arg) => arg !== 'run' && arg !== '--silent' && arg !== '--');
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
const command = scripts[args[0]]?.replace('node local/setup.mjs --build &&', '').replace('exec', '').trim();
if (!command?.startsWith('node ')) throw new Error('no such script: ' + args[0]);
const [, ...rest] = command.split(' ');
const child = spawn(process.execPath, [...rest, ...args.slice(1)], { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
`;

/** A pattern for the output in the tutorial. \`…\` matches any text. */
function pattern(documented: string): RegExp {
  const parts = documented.trim().split('…');
  return new RegExp(`^${parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*?')}$`);
}

beforeAll(async () => {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(path.join(bin, 'npm'), npm, { mode: 0o755 });
  writeFileSync(path.join(bin, 'package.json'), '{"type": "module"}');
  const ports = await Promise.all(Array.from({ length: 5 }, freePort));
  const [api, admin, postgres, temporal, ui] = ports.map(String);
  url = `http://127.0.0.1:${api}`;
  environment = {
    PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}`,
    HOME: process.env.HOME,
    PARLEY_DATA_DIR: path.join(folder, 'data'),
    PORT: api,
    ADMIN_PORT: admin,
    SDK_METRICS_PORT: '0',
    POSTGRES_PORT: postgres,
    TEMPORAL_PORT: temporal,
    TEMPORAL_UI_PORT: ui,
    HOST: '127.0.0.1',
    URL: url,
  };
});

afterAll(async () => {
  if (service?.exitCode === null) {
    service.kill('SIGTERM');
    await once(service, 'exit');
  }
});

test('npm start starts the whole service and prints its address', { timeout: START_LIMIT_MS + 10_000 }, async () => {
  const [first] = stepsOf(blocks);
  expect(first?.commands).toBe(START);
  const child = spawn('npm', ['start'], { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  service = child;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  await waitUntil(
    () => {
      if (child.exitCode !== null) throw new Error(`npm start ended: ${said}`);
      return said.includes('Ctrl-C stops everything.');
    },
    { timeoutMs: START_LIMIT_MS, what: 'npm start is ready' },
  );
  expect(said.trim()).toMatch(pattern(first?.output ?? ''));
});

test(
  'the commands of the tutorial run in order and print its documented output',
  { timeout: STEPS_LIMIT_MS },
  async () => {
    const steps = stepsOf(blocks).slice(1);
    const outputOf = (i: number): string => path.join(folder, `output-${i}.txt`);
    // One shell keeps the variables. The output of each block goes to a separate file.
    const script = steps.map(({ commands }, i) => `{\n${here(commands)}} > '${outputOf(i)}' 2>&1`);
    const shell = spawn('bash', ['-e', '-c', script.join('\n')], { cwd: root, env: environment, stdio: 'ignore' });
    const [code] = (await once(shell, 'exit')) as [number | null];
    for (const [i, { commands, output }] of steps.entries()) {
      if (output !== undefined) expect.soft(outputIn(outputOf(i)), commands).toMatch(pattern(output));
    }
    expect(code).toBe(0);
  },
);

/** The commands with the ports of this test. */
function here(commands: string): string {
  return commands.replaceAll('http://localhost:8080', url);
}

function outputIn(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'it did not run';
}

function stepsOf(all: readonly Block[]): Step[] {
  return all.flatMap(({ language, text }, i) => {
    const next = all[i + 1];
    return language === 'sh' ? [{ commands: text, output: next?.language === 'text' ? next.text : undefined }] : [];
  });
}
