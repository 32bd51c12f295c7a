import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { CASES } from '../../../tools/attack/cases.ts';
import { linksOf, read } from '../../harness/markdown.ts';

const PAGE = 'docs/explanation/security.md';
const CASE_FOLDER = 'tools/attack/cases';
const EVIDENCE = /`test\/[^`\s]+`|\]\([^)]*tools\/attack\/cases\/[^)]+\.ts\)/;

/** Rows of the tables that say what somebody cannot do: what, and what shows it. */
const rows = read(PAGE)
  .split('\n')
  .filter((line) => line.startsWith('|') && !/^\|[\s-]+\|/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, what = '']) => !what.startsWith('what '))
  .map(([, what = '', , shown = '']) => ({ what, shown }));

test('the page says of outsiders and members what they cannot do', () => {
  expect(rows.length).toBeGreaterThan(20);
});

describe.each(rows)('what somebody cannot do: $what', ({ shown }) => {
  test('is shown by a test or an attack', () => {
    expect(shown).toMatch(EVIDENCE);
  });
});

test.each(['Admin', 'Operator', 'Network', 'Database reader'])('%s: the section names a test', (heading) => {
  const [, section = ''] = read(PAGE).split(`\n## ${heading}\n`);
  expect(section.split('\n## ')[0]).toMatch(EVIDENCE);
});

test('every attack is a file of its own name, is in the list of cases, and is named on the page', () => {
  const files = readdirSync(path.join(packageRoot(), CASE_FOLDER)).map((file) => file.replace(/\.ts$/, ''));
  const linked = linksOf(read(PAGE)).filter((target) => target.includes(`${CASE_FOLDER}/`));
  expect(CASES.map(({ name }) => name).sort()).toEqual(files.sort());
  expect([...new Set(linked.map((target) => path.basename(target, '.ts')))].sort()).toEqual(files.sort());
});

test('the policy for reports and the README lead to the page', () => {
  expect(linksOf(read('SECURITY.md'))).toContain(PAGE);
  expect(linksOf(read('README.md'))).toEqual(expect.arrayContaining(['SECURITY.md', PAGE]));
  expect(existsSync(path.join(packageRoot(), 'SECURITY.md'))).toBe(true);
});
