import path from 'node:path';
import { type DefaultTheme, type MarkdownRenderer, type UserConfig, defineConfig } from 'vitepress';
import { packageRoot } from '../../process/package-root.ts';
import { notPages, sidebar, sitePages, targetOf } from './pages.ts';
import { slugOf } from './slug.ts';

const root = packageRoot();
const pages = sitePages();
const known = new Set(pages);

/** The documentation as a site: the Markdown files as they are, found by VitePress in the repository. */
const config: UserConfig<DefaultTheme.Config> = defineConfig({
  title: 'Parley',
  description: 'A delivery service for MLS group chat in which every conversation is a Temporal workflow',
  srcDir: root,
  outDir: path.join(root, 'site'),
  cacheDir: path.join(root, '.cache', 'site'),
  srcExclude: notPages(pages),
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  // The tutorial links to the service that its reader has started.
  ignoreDeadLinks: 'localhostLinks',
  metaChunk: true,
  markdown: { config: changeMarkdown, anchor: { slugify: slugOf } },
  vite: {
    // The script that draws diagrams, as it is: it is minified already.
    publicDir: path.join(root, 'node_modules', '@mermaid-js', 'tiny', 'dist'),
    envDir: path.join(root, 'docs', '.vitepress'),
    server: { watch: { ignored: ['**/.parley/**', '**/dist/**'] } },
  },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Tutorial', link: '/docs/tutorial/first-encrypted-group' },
      { text: 'Operate', link: '/docs/how-to/operate' },
      { text: 'Configuration', link: '/docs/reference/configuration' },
      { text: 'Architecture', link: '/docs/explanation/architecture' },
    ],
    sidebar: sidebar(pages) as DefaultTheme.SidebarItem[],
    outline: [2, 3],
  },
});
export default config;

/** Links go to pages of the site, code of the repository is named only, and diagrams are drawn. */
function changeMarkdown(md: MarkdownRenderer): void {
  md.core.ruler.push('parley-links', (state) => {
    const page = (state.env as { readonly relativePath?: string; readonly path?: string }).path;
    if (page === undefined) return;
    const from = path.relative(root, page).split(path.sep).join('/');
    for (const token of state.tokens) {
      let isFile = false;
      for (const child of token.children ?? []) {
        if (child.type === 'link_close' && isFile) {
          child.tag = 'span';
          isFile = false;
        }
        if (child.type !== 'link_open') continue;
        const target = targetOf(from, child.attrGet('href') ?? '', known);
        if (target?.kind === 'page') child.attrSet('href', target.href);
        if (target?.kind !== 'file') continue;
        isFile = true;
        child.type = 'text_open';
        child.tag = 'span';
        child.attrs = [['title', `${target.file} in the repository`]];
      }
    }
  });
  const fence = md.renderer.rules.fence?.bind(md.renderer.rules);
  md.renderer.rules.fence = (tokens, index, options, env, self) => {
    const token = tokens[index];
    if (token?.info === 'mermaid') return `<Diagram code="${encodeURIComponent(token.content)}" />`;
    return fence?.(tokens, index, options, env, self) ?? '';
  };
}
