import { expect, test } from 'vitest';
import { type NavigationItem, linkOf, notPages, sidebar, sitePages, targetOf } from '../../../tools/site/pages.ts';
import { pages as readPages } from '../../harness/markdown.ts';

const pages = sitePages();
const known = new Set(pages);

const linksOf = (items: readonly NavigationItem[]): string[] =>
  items.flatMap(({ link, items: below = [] }) => [...(link === undefined ? [] : [link]), ...linksOf(below)]);

test('the navigation leads to every page once', () => {
  const links = linksOf(sidebar(pages));
  expect([...links].sort()).toEqual(pages.map(linkOf).sort());
  expect(pages).toEqual(expect.arrayContaining(readPages()));
});

test('the kinds of Diátaxis come first, in their order', () => {
  const titles = sidebar(pages).map(({ text }) => text.split(':')[0]);
  expect(titles.filter((title) => title !== 'Runbooks').slice(0, 4)).toEqual([
    'Tutorial',
    'How-to',
    'Reference',
    'Explanation',
  ]);
});

test('links to pages stay, links to code name it, and links to elsewhere are left alone', () => {
  const from = 'docs/explanation/security.md';
  expect(targetOf(from, 'privacy.md#logs', known)).toEqual({ kind: 'page', href: './privacy.md#logs' });
  expect(targetOf(from, '../../client', known)).toEqual({ kind: 'page', href: './../../client/index.md' });
  expect(targetOf(from, '../../README.md#folders', known)).toEqual({ kind: 'page', href: './../../index.md#folders' });
  expect(targetOf(from, '../../tools/attack/cases', known)).toEqual({ kind: 'file', file: 'tools/attack/cases' });
  expect(targetOf('docs/explanation/curves.md', 'curves/soak.svg', known)).toBeUndefined();
  for (const href of ['https://x.org', '#here', '/top', '']) expect(targetOf(from, href, known)).toBeUndefined();
});

test('what is no page is left out, so that nothing of other folders becomes one', () => {
  const patterns = notPages(pages);
  expect(patterns).toContain('node_modules/**');
  expect(patterns).toContain('test/**');
  expect(patterns.filter((pattern) => known.has(pattern))).toEqual([]);
});
