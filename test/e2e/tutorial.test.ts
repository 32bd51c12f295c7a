import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../process/package-root.ts';
import { freePort } from '../../local/ports.ts';
import { type CommandBlock, commandBlocks, commandsInText, distinct } from '../harness/docs/blocks.ts';
import { type DocumentedService, documentedService } from '../harness/docs/documented-service.ts';
import { wayOf } from '../harness/docs/ways.ts';
import { useFolder } from '../harness/folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { type Block, blocksOf, read } from '../harness/markdown.ts';

// The commands of the documentation, on a service that `npm start` started: the tutorial in order with its output, and every
// block of other pages that has the way `stack` or `server` (test/harness/docs/ways.ts).
const PAGE = 'docs/tutorial/first-encrypted-group.md';
const START = 'npm start\n';
const START_LIMIT_MS = 90_000;
const STEPS_LIMIT_MS = 60_000;

const root = packageRoot();
const folder = useFolder();
const blocks = blocksOf(read(PAGE));
const group = path.join(folder, 'group.txt');
let documented: DocumentedService;
let service: ChildProcess | undefined;
let said = '';

/** A block of commands and its output in the tutorial. */
interface Step {
  readonly commands: string;
  readonly output: string | undefined;
}

/** A pattern for the output in the tutorial. `…` matches any text. */
function pattern(text: string): RegExp {
  const parts = text.trim().split('…');
  return new RegExp(`^${parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*?')}$`);
}

beforeAll(async () => {
  documented = await documentedService(folder);
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
  const child = spawn('npm', ['start'], { cwd: root, env: documented.environment, stdio: ['ignore', 'pipe', 'pipe'] });
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
    const script = steps.map(({ commands }, i) => `{\n${documented.here(commands)}} > '${outputOf(i)}' 2>&1`);
    const { CURL_HOME: _home, ...env } = documented.environment;
    const all = [...script, `printf %s "$GROUP" > '${group}'`].join('\n');
    const shell = spawn('bash', ['-e', '-c', all], { cwd: root, env, stdio: 'ignore' });
    const [code] = (await once(shell, 'exit')) as [number | null];
    for (const [i, { commands, output }] of steps.entries()) {
      if (output !== undefined) expect.soft(outputIn(outputOf(i)), commands).toMatch(pattern(output));
    }
    expect(code).toBe(0);
  },
);

const onStack = distinct(commandBlocks().filter((block) => wayOf(block)?.way === 'stack'));

test.each(onStack.filter(({ language }) => language === 'sh'))(
  'the commands run: $page, line $line',
  async ({ text }) => {
    const { code, printed } = await run(text);
    // A search that finds nothing is no failure.
    const fine = /^grep /m.test(text) ? [0, 1] : [0];
    expect(fine, printed).toContain(code);
  },
);

const inBlocks = new Set(onStack.map(({ text }) => text));

test.each(commandsInText('parley').filter((command) => !inBlocks.has(command)))(
  'the command in the text of pages runs: %s',
  async (command) => {
    expect(await run(command)).toMatchObject({ code: 0 });
  },
);

test.each(onStack.filter(({ language }) => language === 'sql'))('the SQL runs: $page, line $line', async ({ text }) => {
  const client = new pg.Client({ connectionString: documented.databaseUrl() });
  await client.connect();
  try {
    await client.query(documented.here(text));
  } finally {
    await client.end();
  }
});

const servers = commandBlocks().flatMap((block) => {
  const way = wayOf(block);
  return way?.way === 'server' ? [{ ...block, variable: way.port }] : [];
});

test.each(servers)('the process starts and becomes ready: $page, line $line', async ({ text, variable }) => {
  const port = await freePort();
  const commands = documented
    .here(text)
    .replaceAll(new RegExp(`\\b${variable}=\\d+`, 'g'), `${variable}=${port}`)
    .replaceAll(/--inspect=\d+/g, '--inspect=0');
  expect(commands).toContain(`${variable}=${port}`);
  const env = { ...documented.environment, ...(await operatorsEnvironment()), TASK_QUEUE: 'debug' };
  const shell = spawn('bash', ['-e', '-c', commands], {
    cwd: root,
    env,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  shell.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  onTestFinished(async () => {
    if (shell.exitCode !== null || shell.pid === undefined) return;
    process.kill(-shell.pid, 'SIGKILL');
    await once(shell, 'exit');
  });
  await waitUntil(
    async () => {
      if (shell.exitCode !== null) throw new Error(`It ended: ${errors}`);
      return (await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined))?.ok === true;
    },
    { what: 'it is ready', timeoutMs: START_LIMIT_MS },
  );
});

/** What somebody at a terminal has exported before. */
async function operatorsEnvironment(): Promise<Record<string, string>> {
  const token = await output('npm run --silent token -- admin --operator');
  return {
    OPERATOR: token,
    GROUP: outputIn(group),
    DATABASE_URL: documented.databaseUrl(),
    TEMPORAL_ADDRESS: documented.temporalAddress,
    JWT_SECRET: documented.jwtSecret(),
  };
}

async function output(command: string): Promise<string> {
  const shell = spawn('bash', ['-c', command], {
    cwd: root,
    env: documented.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  shell.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(shell, 'close');
  return text.trim();
}

/** Runs commands as somebody types them. @returns what they printed, too, for a failure */
async function run(text: CommandBlock['text']): Promise<{ readonly code: number | null; readonly printed: string }> {
  const { PORT: _port, ...environment } = documented.environment;
  const { JWT_SECRET: _secret, ...exported } = await operatorsEnvironment();
  const env = { ...environment, ...exported };
  const commands = `set -o pipefail\n${documented.here(text)}`;
  const shell = spawn('bash', ['-e', '-c', commands], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const [code] = (await once(shell, 'close')) as [number | null];
  return { code, printed };
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
