import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { anchorsOf, linksOf, pages, read } from '../../harness/markdown.ts';

const isElsewhere = (target: string): boolean => /^[a-z]+:/.test(target);

/** Why a link of a page leads nowhere; `undefined` = it leads somewhere. */
function problemOf(page: string, target: string): string | undefined {
  const [file = '', anchor] = target.split('#');
  if (file.startsWith('/')) return 'is no relative link';
  const path_ = file === '' ? page : path.join(path.dirname(page), decodeURI(file));
  const full = path.join(packageRoot(), path_);
  if (!existsSync(full)) return 'names no file';
  if (anchor === undefined) return undefined;
  if (statSync(full).isDirectory() || !path_.endsWith('.md')) return 'has an anchor into what is no page';
  return anchorsOf(read(path_)).has(anchor) ? undefined : 'names no heading';
}

test.each(pages())('every relative link of %s leads to a file, and to a heading if it names one', (page) => {
  const broken = linksOf(read(page))
    .filter((target) => !isElsewhere(target))
    .flatMap((target) => {
      const problem = problemOf(page, target);
      return problem === undefined ? [] : [`${target} ${problem}`];
    });
  expect(broken).toEqual([]);
});

test('every page under docs can be reached from the README', () => {
  const reached = new Set<string>();
  const visit = (page: string): void => {
    if (reached.has(page) || !page.endsWith('.md')) return;
    reached.add(page);
    for (const target of linksOf(read(page))) {
      const [file = ''] = target.split('#');
      if (isElsewhere(target) || file === '') continue;
      const next = path.join(path.dirname(page), decodeURI(file));
      if (existsSync(path.join(packageRoot(), next))) visit(next);
    }
  };
  visit('README.md');
  expect(pages().filter((page) => page.startsWith('docs/') && !reached.has(page))).toEqual([]);
});

test('links, code and headings are recognised as GitHub does', () => {
  const page = '# A `b`: c, d\n\nSee [x](y.md#z) and `[no](t.md)`.\n\n## Same\n\n```sh\n# no heading\n```\n\n## Same\n';
  expect(linksOf(page)).toEqual(['y.md#z']);
  expect([...anchorsOf(page)]).toEqual(['a-b-c-d', 'same', 'same-1']);
});
