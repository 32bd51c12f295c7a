import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { ESLint, type Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { useFolder } from '../../harness/folder.ts';

const root = packageRoot();
const folder = useFolder();

// Without the rules that need types: reading the types of everything takes most of a lint's time.
const eslint = new ESLint({ cwd: root, overrideConfig: tseslint.configs.disableTypeChecked as Linter.Config });

/** Rules that a text breaks, were it that file. */
async function broken(file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: path.join(root, file) });
  return (result?.messages ?? []).map(({ ruleId, message }) => ruleId ?? message);
}

const WORKFLOW = 'workflows/sweep.ts';

const BAD: Readonly<Record<string, { readonly code: string; readonly rule: string }>> = {
  'a Node built-in': {
    code: `import { readFileSync } from 'node:fs';\nexport const text = readFileSync('x', 'utf8');\n`,
    rule: 'no-restricted-imports',
  },
  'a library that does not belong into the sandbox': {
    code: `import { z } from 'zod';\nexport const schema = z.string();\n`,
    rule: 'no-restricted-imports',
  },
  'the process': {
    code: `export const home = process.env['HOME'];\n`,
    rule: 'no-restricted-globals',
  },
  'the network': {
    code: `export const load = (): Promise<Response> => fetch('http://localhost');\n`,
    rule: 'no-restricted-globals',
  },
  'random bytes that do not replay': {
    code: `export const id = (): string => crypto.randomUUID();\n`,
    rule: 'no-restricted-globals',
  },
  'a race of promises': {
    code: `export const first = (a: Promise<void>, b: Promise<void>): Promise<void> => Promise.race([a, b]);\n`,
    rule: 'no-restricted-syntax',
  },
  'a date without a time': {
    code: `export const now = (): Date => new Date();\n`,
    rule: 'no-restricted-syntax',
  },
  'a plain Error': {
    code: `export function fail(): never {\n  throw new Error('wedged');\n}\n`,
    rule: 'no-restricted-syntax',
  },
  'an asynchronous validator': {
    code: `export const options = { validator: async (): Promise<void> => {\n  await Promise.resolve();\n} };\n`,
    rule: 'no-restricted-syntax',
  },
};

for (const [what, { code, rule }] of Object.entries(BAD)) {
  test(`the linter refuses workflow code with ${what}`, async () => {
    expect(await broken(WORKFLOW, code)).toContain(rule);
  });
}

const BAD_TESTS: Readonly<Record<string, { readonly code: string; readonly rule: string }>> = {
  'a sleep': {
    code: `export const sleep = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));\n`,
    rule: 'no-restricted-syntax',
  },
  'a sleep of a library': {
    code: `import { setTimeout as sleep } from 'node:timers/promises';\nexport const pause = sleep;\n`,
    rule: 'no-restricted-imports',
  },
  'an expectation about time': {
    code: `import { expect } from 'vitest';\nconst from = Date.now();\nexpect(Date.now() - from).toBeLessThan(1000);\n`,
    rule: 'no-restricted-syntax',
  },
};

for (const [what, { code, rule }] of Object.entries(BAD_TESTS)) {
  test(`the linter refuses a test with ${what}`, async () => {
    expect(await broken('test/unit/docs/links.test.ts', code)).toContain(rule);
  });
}

test('the linter takes the workflow code as it is', async () => {
  expect(await broken(WORKFLOW, readFileSync(path.join(root, WORKFLOW), 'utf8'))).toEqual([]);
});

test('imports against the direction are refused, each by its rule', async () => {
  const files: Readonly<Record<string, string>> = {
    'domain/bad.ts': `import { stored } from '../store/good.ts';\nexport const bad = stored;\n`,
    'store/good.ts': `export const stored = 1;\n`,
    'store/bad.ts': `import { applied } from '../api/good.ts';\nexport const bad = applied;\n`,
    'api/good.ts': `export const applied = 1;\n`,
    'api/bad.ts': `import { act } from '../activities/good.ts';\nexport const bad = act;\n`,
    'activities/good.ts': `export const act = 1;\n`,
    'activities/bad.ts': `import { flow } from '../workflows/good.ts';\nexport const bad = flow;\n`,
    'workflows/good.ts': `export const flow = 1;\n`,
    'workflows/bad.ts': `import { act } from '../activities/good.ts';\nexport const bad = act;\n`,
    'worker/bad.ts': `import { applied } from '../api/good.ts';\nexport const bad = applied;\n`,
    'process/bad.ts': `import { stored } from '../store/good.ts';\nexport const bad = stored;\n`,
    'store/one.ts': `import { two } from './two.ts';\nexport const one: number = two;\n`,
    'store/two.ts': `import { one } from './one.ts';\nexport const two: number = one;\n`,
    'tools/tested.ts': `import { tried } from '../test/good.ts';\nexport const tested = tried;\n`,
    'test/good.ts': `export const tried = 1;\n`,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  const options = { target: 'es2023', module: 'nodenext', allowImportingTsExtensions: true, noEmit: true };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }));
  writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
  copyFileSync(path.join(root, '.dependency-cruiser.cjs'), path.join(folder, '.dependency-cruiser.cjs'));

  const program = path.join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const folders = ['domain', 'process', 'store', 'activities', 'workflows', 'api', 'worker', 'tools', 'test'];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...folders],
    { cwd: folder, maxBuffer: 64 * 1024 * 1024 },
  ).catch((error: unknown) => error as { stdout: string });
  const { summary } = JSON.parse(stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } };
  const found = summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`);
  expect(found).toEqual(
    expect.arrayContaining([
      'domain/bad.ts: domain-direction',
      'store/bad.ts: store-direction',
      'api/bad.ts: api-direction',
      'activities/bad.ts: activities-direction',
      'workflows/bad.ts: activities-by-type-only',
      'worker/bad.ts: worker-direction',
      'process/bad.ts: process-direction',
      'store/one.ts: no-cycles',
      'tools/tested.ts: tools-direction',
    ]),
  );
  expect(found.filter((line) => line.includes('/good.ts'))).toEqual([]);
});

/** Sources by path, without tests. */
const sources: Readonly<Record<string, string>> = Object.fromEntries(
  [
    'activities',
    'api',
    'dispatch',
    'domain',
    'local',
    'mls',
    'ops',
    'process',
    'store',
    'streams',
    'worker',
    'workflows',
  ].flatMap((top) =>
    readdirSync(path.join(root, top), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => [`${top}/${name}`, readFileSync(path.join(root, top, name), 'utf8')] as const),
  ),
);

/** Code of a file without its comments. */
function codeOf(file: string): string {
  return (sources[file] ?? '').replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1');
}

/** Files with this string literal, in any quotes. */
function filesWith(literal: string): string[] {
  const pattern = new RegExp(`(['"\`])${literal.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\1`);
  return Object.keys(sources).filter((file) => pattern.test(codeOf(file)));
}

test('names of signals, updates and queries stand in one file', () => {
  const file = 'workflows/conversation/messages.ts';
  const names = [...codeOf(file).matchAll(/define(?:Update|Signal|Query)<[^(]*>\('(\w+)'\)/g)].map(
    ([, name]) => name ?? '',
  );
  expect(names).toEqual(
    expect.arrayContaining([
      'addMembers',
      'removeMember',
      'commit',
      'sendMessages',
      'incrementUnread',
      'shutdown',
      'state',
    ]),
  );
  // Nobody defines or sends a message by a name of its own.
  // The supervisor is a workflow of its own, with a file of its own.
  const files = [file, 'workflows/supervisor/messages.ts'];
  const elsewhere = Object.keys(sources).filter((other) => !files.includes(other));
  const byName =
    /define(?:Update|Signal|Query)\b|\.(?:signal|executeUpdate|executeUpdateWithStart)\(\s*['"`]|\bsignal: ['"`]/;
  expect(elsewhere.filter((other) => byName.test(codeOf(other)))).toEqual([]);
});

test('names of workflow types stand in one file', () => {
  for (const name of ['CONVERSATION_WORKFLOW', 'SWEEP_WORKFLOW']) {
    expect(codeOf('workflows/names.ts')).toContain(`export const ${name}`);
  }
  const byName = /\.workflow\.(?:start|execute|signalWithStart)\(\s*['"`]|new WithStartWorkflowOperation\(\s*['"`]/;
  expect(Object.keys(sources).filter((file) => byName.test(codeOf(file)))).toEqual([]);
});

test('names of metrics stand in one file', () => {
  const file = 'process/metrics.ts';
  const names = [...codeOf(file).matchAll(/'((?:actor|epoch|parley)_\w+)'/g)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'actor_type');
  expect(names.length).toBeGreaterThanOrEqual(18);
  for (const name of names) expect(filesWith(name), name).toEqual([file]);
});

test('channels of Postgres notifications stand in one file', () => {
  const file = 'store/log/notifications.ts';
  for (const name of ['parley_entries', 'parley_settings']) expect(filesWith(name), name).toEqual([file]);
});
