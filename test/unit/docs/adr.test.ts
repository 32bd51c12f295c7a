import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { read, records } from '../../harness/markdown.ts';

/** Folders that hold no text of ours. */
const SKIPPED = new Set(['node_modules', 'dist', 'histories', 'bench-results']);
const TEXT = /\.(?:ts|sql|cjs|mjs|js|ya?ml|md)$/;

/** Text files of the package, by their paths from its folder. */
function textFiles(folder = ''): string[] {
  return readdirSync(path.join(packageRoot(), folder)).flatMap((name) => {
    const file = path.join(folder, name);
    if (SKIPPED.has(name) || name.startsWith('.')) return [];
    if (statSync(path.join(packageRoot(), file)).isDirectory()) return textFiles(file);
    return TEXT.test(name) ? [file] : [];
  });
}

test('decision records are numbered without a gap', () => {
  expect(records().map((file) => Number(file.slice(0, 4)))).toEqual(records().map((_, i) => i + 1));
});

test.each(records())('%s has its number, context, decision and consequences, and is in the index', (file) => {
  const text = read(`docs/adr/${file}`);
  expect(text).toMatch(
    new RegExp(`^# ${file.slice(0, 4)}: .+\\n\\n## Context\\n[^]+\\n## Decision\\n[^]+\\n## Consequences\\n`),
  );
  expect(read('docs/adr/README.md')).toContain(`(${file})`);
});

test('comments cite decision records that exist', () => {
  const numbers = new Set(records().map((file) => file.slice(0, 4)));
  const wrong = textFiles().flatMap((file) =>
    [...read(file).matchAll(/docs\/adr\/(\d{4})/g)]
      .map(([, number = '']) => number)
      .filter((number) => !numbers.has(number))
      .map((number) => `${file}: ${number}`),
  );
  expect(wrong).toEqual([]);
});
