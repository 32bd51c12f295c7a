import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';
import { linkOf, sitePages } from '../../tools/site/pages.ts';

// `npm run docs`. It needs nothing but npm, but takes a minute on a busy machine.
const site = path.join(packageRoot(), 'site');

beforeAll(async () => {
  await runCommand(process.execPath, [path.join(packageRoot(), 'dist/tools/site/main.js')]);
});

const files = (extension: string): string[] =>
  readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith(extension));
const read = (file: string): string => readFileSync(path.join(site, file), 'utf8');

/** File and anchor that a link of a page leads to. */
function follow(page: string, href: string): { readonly file: string; readonly anchor: string | undefined } {
  const [target = '', anchor] = href.replaceAll('&amp;', '&').split('#');
  const full = target === '' ? `/${page}` : path.posix.resolve('/', path.posix.dirname(page), decodeURI(target));
  const file = target.endsWith('/') || full === '/' ? path.posix.join(full, 'index.html') : full;
  return { file: (existsSync(site + file) ? file : `${file}.html`).slice(1), anchor };
}

test('every page is built, and every link of the site leads to a page and to a heading of it', () => {
  const pages = files('.html');
  const built = new Set(pages);
  for (const page of sitePages()) expect(built).toContain(follow('', linkOf(page)).file);
  const ids = new Map(
    pages.map((page) => [page, new Set([...read(page).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]),
  );
  let count = 0;
  const dead = pages.flatMap((page) =>
    [...read(page).matchAll(/ href="([^"]+)"/g)].flatMap(([, href = '']) => {
      if (/^[a-z]+:/.test(href)) return [];
      count++;
      const { file, anchor } = follow(page, href);
      const isThere = existsSync(path.join(site, file));
      const hasAnchor = anchor === undefined || (ids.get(file)?.has(decodeURIComponent(anchor)) ?? false);
      return isThere && hasAnchor ? [] : [`${page}: ${href}`];
    }),
  );
  expect(dead).toEqual([]);
  expect(count).toBeGreaterThan(1000);
});

test('the search has every page, and knows words of their text', () => {
  const index = files('.js').find((file) => file.includes('localSearchIndex'));
  const text = read(index ?? '');
  // Not `toContain`: the index is too long for a message.
  const documented = sitePages().filter((page) => page.startsWith('docs/'));
  expect(documented.filter((page) => !text.includes(`"${linkOf(page)}`))).toEqual([]);
  // From a block of commands; the search takes `pg_terminate_backend` for three words.
  expect(text.includes('"terminate"')).toBe(true);
});

test('code of the repository is named and not linked, and diagrams have their script', () => {
  const page = read('docs/explanation/security.html');
  expect(page.includes('title="tools/attack/cases in the repository"')).toBe(true);
  expect(page.includes('href="./../../tools/attack')).toBe(false);
  expect(read('docs/explanation/architecture.html').includes('class="diagram"')).toBe(true);
  expect(existsSync(path.join(site, 'mermaid.tiny.js'))).toBe(true);
});
