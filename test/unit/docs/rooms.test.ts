import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { blocksOf, pages, read, records } from '../../harness/markdown.ts';

const ARCHITECTURE = 'docs/explanation/architecture.md';
const root = packageRoot();

/** Top-level folders that hold code: all but hidden ones, `docs`, and what git ignores. */
function codeFolders(): string[] {
  const ignored = new Set(
    read('.gitignore')
      .split('\n')
      .map((line) => line.replace(/^\/|\/$/g, '')),
  );
  return readdirSync(root, { withFileTypes: true })
    .filter((file) => file.isDirectory() && !file.name.startsWith('.') && !ignored.has(file.name))
    .map(({ name }) => name)
    .filter((name) => name !== 'docs')
    .sort();
}

/** Folders in the first column of the tables of a page, written as `name/`. */
function foldersInTables(page: string): string[] {
  return [...read(page).matchAll(/^\| `([a-z]+)\/` +\|/gm)].map(([, name = '']) => name).sort();
}

interface DependencyRule {
  readonly name: string;
  readonly from: { readonly path?: string };
  readonly to: { readonly pathNot?: string };
}

/** For each room the rooms that it may import, from the rules that lint holds. */
function allowedImports(): Map<string, Set<string>> {
  const config = createRequire(import.meta.url)(path.join(root, '.dependency-cruiser.cjs')) as {
    readonly forbidden: readonly DependencyRule[];
  };
  const allowed = new Map<string, Set<string>>();
  for (const { name, from, to } of config.forbidden) {
    if (!name.endsWith('-direction') || to.pathNot === undefined) continue;
    const room = /^\^(\w+)\/$/.exec(from.path ?? '')?.[1];
    // Rules inside a room are no arrows.
    if (room === undefined) continue;
    const rooms = /^\^\((.+)\)\/$/.exec(to.pathNot)?.[1]?.split('|') ?? [];
    allowed.set(room, new Set(rooms.filter((other) => other !== room)));
  }
  return allowed;
}

/** The arrows of the first flowchart of a page: from each node to others. `a --> b & c` counts as two arrows. */
function arrowsOf(page: string): Map<string, Set<string>> {
  const chart = blocksOf(read(page)).find(
    ({ language, text }) => language === 'mermaid' && text.startsWith('flowchart'),
  );
  const arrows = new Map<string, Set<string>>();
  for (const line of chart?.text.split('\n') ?? []) {
    const [, from, to] = /^ *(\w+)(?: --> (.+))?$/.exec(line) ?? [];
    if (from === undefined || from === 'end') continue;
    const targets = arrows.get(from) ?? new Set();
    for (const target of to?.split(' & ') ?? []) targets.add(target);
    arrows.set(from, targets);
  }
  return arrows;
}

test.each(['README.md', ARCHITECTURE])('%s names every folder of code, and only folders that exist', (page) => {
  expect(foldersInTables(page).filter((name) => name !== 'docs')).toEqual(codeFolders());
});

test('the arrows of the diagram are the imports that lint allows', () => {
  const allowed = allowedImports();
  expect(allowed.size).toBeGreaterThan(0);
  const arrows = arrowsOf(ARCHITECTURE);
  // Tools may import the whole product, and tests everything.
  expect(arrows.get('tools')).toEqual(new Set(['product']));
  expect(arrows.get('test')).toEqual(new Set(['tools', 'product']));
  arrows.delete('tools');
  arrows.delete('test');
  for (const [room, imports] of allowed) expect([room, arrows.get(room) ?? new Set()]).toEqual([room, imports]);
  expect([...arrows.keys()].filter((room) => !allowed.has(room))).toEqual([]);
});

test('every room is in the diagram, in the import rules and in the compiler settings', () => {
  const { include } = JSON.parse(readFileSync(path.join(root, 'tsconfig.json'), 'utf8')) as { include: string[] };
  // The page has compiler settings of its own: it is for browsers, and Vite builds it.
  expect(include.filter((name) => !name.includes('.')).sort()).toEqual(codeFolders().filter((name) => name !== 'web'));
  expect([...allowedImports().keys(), 'test', 'tools'].sort()).toEqual(codeFolders());
});

/** The tables of these two are compared with the tests by a test of their own. */
const OTHER_TEST = ['docs/explanation/invariants.md', 'docs/explanation/rfc9750.md'];
/** Describes files as they were. */
const HISTORY = ['CHANGELOG.md'];

/** A decision record is cited by its number. */
function exists(name: string): boolean {
  const isRecord = /^docs\/adr\/\d{4}$/.test(name);
  return isRecord ? records().some((file) => file.startsWith(path.basename(name))) : existsSync(path.join(root, name));
}

test.each(pages().filter((page) => ![...OTHER_TEST, ...HISTORY].includes(page)))(
  'every file that %s names exists',
  (page) => {
    const folders = [...codeFolders(), 'docs', '.vscode'].join('|');
    const names = [...read(page).matchAll(new RegExp(`\`((?:${folders.replace('.', '\\.')})/[\\w./-]*)\``, 'g'))];
    const missing = names.map(([, name = '']) => name).filter((name) => !exists(name));
    expect(missing).toEqual([]);
  },
);
