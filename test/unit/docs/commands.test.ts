import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { blocksIn, commandBlocks, commandPages, commandsOf } from '../../harness/docs/blocks.ts';
import { WAYS, wayOf } from '../../harness/docs/ways.ts';
import { read } from '../../harness/markdown.ts';

// Every command of the documentation is run by a test, is checked here, or says why not (test/harness/docs/ways.ts).
const root = packageRoot();
const blocks = commandBlocks();
const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
const script = (name: string): string | undefined => new Map(Object.entries(scripts)).get(name);

test('there is a way for every block of commands', () => {
  expect(blocks.length).toBeGreaterThan(35);
  expect(
    blocks.filter((block) => wayOf(block) === undefined).map(({ name, line }) => `${name} (line ${line})`),
  ).toEqual([]);
});

test('the list of ways names only blocks that exist, and tests that exist', () => {
  const names = new Set(blocks.map(({ name }) => name));
  expect([...WAYS.keys()].filter((name) => !names.has(name))).toEqual([]);
  for (const way of WAYS.values()) {
    if (way.way === 'test') expect([way.file, existsSync(path.join(root, way.file))]).toEqual([way.file, true]);
    if (way.way === 'never') expect(way.reason.length).toBeGreaterThan(10);
  }
});

/** Parts of a command line; a quoted part is one. */
function partsOf(command: string): string[] {
  return [...command.matchAll(/'[^']*'|"[^"]*"|\S+/g)].map(([part]) => part.replaceAll(/^['"]|['"]$/g, ''));
}

/** Why a long command cannot be what it says; undefined = it can. */
function problemOf(command: string): string | undefined {
  const parts = partsOf(command.replace(/^(?:[A-Z_]+=\S+ )*/, ''));
  if (parts[0] === 'npm') {
    const name = parts[1] === 'run' ? parts.slice(2).find((part) => !part.startsWith('--')) : parts[1];
    return script(name ?? '') === undefined ? 'is no script' : undefined;
  }
  const files = parts.filter((part) => part.startsWith('test/'));
  const missing = files.filter((file) => !existsSync(path.join(root, file)));
  if (missing.length > 0) return `names ${missing.join(', ')}`;
  const title = parts[parts.indexOf('-t') + 1];
  const isTitle = parts.includes('-t') && title !== undefined;
  if (isTitle && !files.some((file) => readFileSync(path.join(root, file), 'utf8').includes(title)))
    return 'names no test';
  return undefined;
}

const checked = blocks.filter((block) => wayOf(block)?.way === 'check');

test('long commands name scripts, files and tests that exist', () => {
  expect(checked.length).toBeGreaterThan(5);
  const commands = checked.flatMap(({ name, text }) => commandsOf(text).map((command) => [name, command] as const));
  const wrong = commands.flatMap(([name, command]) => {
    const problem = problemOf(command);
    return problem === undefined ? [] : [`${name}: ${command} ${problem}`];
  });
  expect(wrong).toEqual([]);
  expect(problemOf('npm run nothing')).toBe('is no script');
  expect(problemOf('npx vitest run test/no.test.ts')).toBe('names test/no.test.ts');
  expect(problemOf('npx vitest run test/unit/docs/commands.test.ts -t "no such"')).toBeUndefined();
});

/** Scripts with flags, over all blocks that are not run as they stand. */
const withFlags = new Map<string, Set<string>>();
for (const block of blocks.filter((one) => ['check', 'test'].includes(wayOf(one)?.way ?? ''))) {
  for (const command of commandsOf(block.text)) {
    // The command line of operators says the flags of each of its commands by itself.
    const [, name = '', rest = ''] = /^npm run (parley -- [a-z-]+|\S+ --) ?(.*)$/.exec(command) ?? [];
    for (const flag of partsOf(rest).filter((part) => part.startsWith('--'))) {
      withFlags.set(name, (withFlags.get(name) ?? new Set()).add(flag));
    }
  }
}

test.each([...withFlags])('npm run %s says what its flags in the documentation do', async (command, flags) => {
  const [name = '', , ...words] = command.split(' ');
  const [file] = /dist\/\S+\.js/.exec(script(name) ?? '') ?? [];
  if (file === undefined) throw new Error(`npm run ${name} runs no script of ours`);
  // It says its usage, with 0 or 2.
  const run = promisify(execFile)(process.execPath, [path.join(root, file), ...words, '--help'], { cwd: root });
  const { stdout, stderr } = await run.catch((error: unknown) => error as { stdout: string; stderr: string });
  for (const flag of flags) expect(`${stdout}${stderr}`).toContain(flag);
});

test('commands in the text name scripts that exist', () => {
  const named = commandPages()
    .filter((page) => page !== 'CHANGELOG.md')
    .flatMap((page) =>
      [...read(page).matchAll(/`npm run (?:--silent )?([\w:-]+)/g)].map(([, name = '']) => `${page}: ${name}`),
    );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((one) => script(one.split(': ')[1] ?? '') === undefined)).toEqual([]);
});

test('blocks are found in lists too, and comments are no commands', () => {
  const page =
    '1. do\n\n   ```sh\n   npm run a     # why\n   npm run b \\\n     --c && npm run d\n   ```\n\n```text\nno\n```\n';
  const [block] = blocksIn('p.md', page);
  expect(blocksIn('p.md', page)).toHaveLength(1);
  expect(block).toMatchObject({ line: 3, language: 'sh', name: 'p.md: npm run a     # why' });
  expect(commandsOf(block?.text ?? '')).toEqual(['npm run a', 'npm run b --c', 'npm run d']);
});
