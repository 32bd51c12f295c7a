import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';

// The four kinds of pages (https://diataxis.fr), and what else belongs to the site. Paths are from the package's folder.

/** An entry of the navigation. */
export interface NavigationItem {
  readonly text: string;
  readonly link?: string;
  readonly collapsed?: boolean;
  readonly items?: readonly NavigationItem[];
}

/** Folders under `docs` with their title, in the order of the navigation. */
const KINDS = [
  ['tutorial', 'Tutorial: learn'],
  ['how-to', 'How-to: get something done'],
  ['runbooks', 'Runbooks: an alert fires'],
  ['reference', 'Reference: look something up'],
  ['explanation', 'Explanation: understand'],
  ['adr', 'Decision records'],
] as const;

/** Pages outside of `docs`. The README is the start page. */
const OTHERS = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const OTHER_FOLDERS = ['client', 'store', 'store/migrations', 'tools/bench', 'tools/curves', 'tools/soak'];

/** Paths of all pages of the site. */
export function sitePages(): string[] {
  const root = packageRoot();
  const docs = readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md') && !file.startsWith('.'))
    .map((file) => path.posix.join('docs', file));
  const readmes = OTHER_FOLDERS.map((folder) => `${folder}/README.md`);
  return [...OTHERS, ...readmes, ...docs].filter((file) => existsSync(path.join(root, file))).sort();
}

/** Patterns for everything that is no page: VitePress takes all Markdown files that it finds. */
export function notPages(pages: readonly string[]): string[] {
  const root = packageRoot();
  const withPages = new Set(pages.map((page) => page.split('/')[0]));
  const folders = readdirSync(root, { withFileTypes: true }).filter((file) => file.isDirectory());
  const outside = folders.filter(({ name }) => !withPages.has(name)).map(({ name }) => `${name}/**`);
  const others = folders
    .filter(({ name }) => withPages.has(name))
    .flatMap(({ name }) =>
      readdirSync(path.join(root, name), { recursive: true, encoding: 'utf8' }).map((file) =>
        path.posix.join(name, file),
      ),
    );
  return [...outside, ...others.filter((file) => file.endsWith('.md') && !pages.includes(file))];
}

/** What a link of a page leads to: another page (`index.md` for a README), or a file of the repository, which the site does not have. */
export type Target =
  { readonly kind: 'page'; readonly href: string } | { readonly kind: 'file'; readonly file: string };

/**
 * Where a relative link leads in the site.
 * @param page path of the page that has it
 * @returns undefined for links to elsewhere and inside the page, which stay
 */
export function targetOf(page: string, href: string, pages: ReadonlySet<string>): Target | undefined {
  if (/^[a-z]+:|^[#/]/.test(href) || href === '') return undefined;
  const [file = '', anchor] = href.split('#');
  const full = path.posix.join(path.posix.dirname(page), decodeURI(file));
  const onDisk = path.join(packageRoot(), full);
  const target = existsSync(onDisk) && statSync(onDisk).isDirectory() ? path.posix.join(full, 'README.md') : full;
  if (!pages.has(target)) return target.endsWith('.svg') ? undefined : { kind: 'file', file: full };
  const relative = path.posix.relative(path.posix.dirname(page), target).replace(/(^|\/)README\.md$/, '$1index.md');
  return { kind: 'page', href: `./${relative}${anchor === undefined ? '' : `#${anchor}`}` };
}

/** The title of a page: its first heading. */
export function titleOf(page: string): string {
  const text = readFileSync(path.join(packageRoot(), page), 'utf8');
  return (/^# (.+)$/m.exec(text)?.[1] ?? page).replaceAll('`', '');
}

/** The navigation at the side: the kinds, with their pages by title. */
export function sidebar(pages: readonly string[]): NavigationItem[] {
  const kinds = KINDS.flatMap(([folder, text]): NavigationItem[] => {
    const items = itemsOf(pages, `docs/${folder}`);
    return items.length === 0 ? [] : [{ text, collapsed: folder === 'adr' || folder === 'runbooks', items }];
  });
  const rest = pages.filter((page) => !page.startsWith('docs/')).map(itemOf);
  return [...kinds, { text: 'The repository', collapsed: true, items: rest }];
}

function itemsOf(pages: readonly string[], folder: string): NavigationItem[] {
  const inside = pages.filter((page) => page.startsWith(`${folder}/`));
  const direct = inside.filter((page) => path.posix.dirname(page) === folder).map(itemOf);
  const folders = [...new Set(inside.map((page) => page.slice(folder.length + 1).split('/')))];
  const names = [...new Set(folders.filter(({ length }) => length > 1).map(([name = '']) => name))];
  const below = names.map((name) => ({
    text: titleOf(`${folder}/${name}/README.md`),
    collapsed: true,
    items: itemsOf(pages, `${folder}/${name}`),
  }));
  const byTitle = (a: NavigationItem, b: NavigationItem): number => a.text.localeCompare(b.text);
  return [...direct.sort(byTitle), ...below];
}

function itemOf(page: string): NavigationItem {
  return { text: titleOf(page), link: linkOf(page) };
}

/** Path of a page in the site. */
export function linkOf(page: string): string {
  return `/${page.replace(/(^|\/)README\.md$/, '$1').replace(/\.md$/, '')}`;
}
