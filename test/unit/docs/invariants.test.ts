import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { pages, read } from '../../harness/markdown.ts';

const PAGE = 'docs/explanation/invariants.md';
const NUMBERS = 'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen'.split(
  ' ',
);

interface Row {
  readonly number: number;
  /** As the page writes them, for example `test/e2e/conversation/{races,unit}`. */
  readonly tests: readonly string[];
}

const rows: readonly Row[] = read(PAGE)
  .split('\n')
  .flatMap((line) => {
    const [, number, , , tests = ''] = line.split('|').map((cell) => cell.trim());
    return /^\d+$/.test(number ?? '') ? [{ number: Number(number), tests: testsIn(tests) }] : [];
  });

/** Code spans of a text that name tests. */
function testsIn(text: string): string[] {
  return [...text.matchAll(/`(test\/[^`\s]+)`/g)].map(([, name = '']) => name);
}

/** `a/{b,c}` as `a/b` and `a/c`. */
function expand(name: string): string[] {
  const [, before = '', choices = '', after = ''] = /^(.*?)\{([^}]*)\}(.*)$/.exec(name) ?? [];
  return choices === '' ? [name] : choices.split(',').flatMap((choice) => expand(`${before}${choice}${after}`));
}

/** All test files, as paths from the package's folder. */
const testFiles = readdirSync(path.join(packageRoot(), 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => path.posix.join('test', file.replaceAll(path.sep, '/')));

/** The test files that a name stands for: a file, with or without its ending, or a folder; `*` is any part of a name. */
function filesOf(name: string): string[] {
  const pattern = name
    .replace(/(?:\.test\.ts|\/)$/, '')
    .replaceAll(/[.+?^$()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[^/]*');
  const regExp = new RegExp(`^${pattern}(\\.test\\.ts|/.*)$`);
  return testFiles.filter((file) => regExp.test(file));
}

/** The invariants that tests of a file name in their titles, as `(invariants 1 to 3, 7 and 9)`. */
function namedIn(file: string): Set<number> {
  const named = new Set<number>();
  for (const [, list = ''] of read(file).matchAll(/invariants? (\d+(?:(?:, | and | to )\d+)*)/gi)) {
    for (const [, from, to = from] of list.matchAll(/(\d+)(?: to (\d+))?/g)) {
      for (let number = Number(from); number <= Number(to); number++) named.add(number);
    }
  }
  return named;
}

test('the invariants are numbered from 1, without a gap', () => {
  expect(rows.map(({ number }) => number)).toEqual(rows.map((_, i) => i + 1));
  expect(rows.length).toBeGreaterThan(0);
});

describe.each(rows)('invariant $number', ({ number, tests }) => {
  test('is named by a test of a file that the page lists', () => {
    const files = tests.flatMap(expand).flatMap(filesOf);
    expect(files.filter((file) => namedIn(file).has(number))).not.toEqual([]);
  });
});

test('tests name no invariant that the page does not have', () => {
  const unknown = testFiles.flatMap((file) =>
    [...namedIn(file)].filter((number) => !rows.some((row) => row.number === number)),
  );
  expect(unknown).toEqual([]);
});

test.each(pages())('every test that %s names is there', (page) => {
  const missing = testsIn(read(page))
    .flatMap(expand)
    .filter((name) => filesOf(name).length === 0 && !existsSync(path.join(packageRoot(), name)));
  expect(missing).toEqual([]);
});

test.each(pages().filter((page) => !page.endsWith('CHANGELOG.md')))('%s counts the invariants right', (page) => {
  const text = read(page).toLowerCase();
  const counts = [...text.matchAll(new RegExp(`\\b(\\d+|${NUMBERS.join('|')})\\s+invariants\\b`, 'g'))];
  const wrong = counts.filter(
    ([, count = '']) => (NUMBERS.includes(count) ? NUMBERS.indexOf(count) : Number(count)) !== rows.length,
  );
  expect(wrong.map(([found]) => `${path.basename(page)}: ${found}`)).toEqual([]);
});
