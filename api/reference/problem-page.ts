import { Marked } from 'marked';
import type { ProblemCode } from '../../domain/errors.ts';

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; }
code, pre { font: 0.875em/1.5 ui-monospace, monospace; }
pre { padding: 0.75rem; overflow-x: auto; background: #8881; }
`;

const markdown = new Marked({
  walkTokens: (token) => {
    // HTML in the source is shown as text.
    if (token.type === 'html') Object.assign(token, { type: 'text' });
    // The source files link to one another by file name; the served pages have no extension.
    if (token.type === 'link') Object.assign(token, { href: (token.href as string).replace(/\.md$/, '') });
  },
});

/** The page of a problem, which loads nothing. @param source Markdown */
export function problemPage(code: ProblemCode, source: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>${code} - Parley</title>
    <style>${STYLE}</style>
  </head>
  <body>
    <nav><a href="/docs">Parley API</a></nav>
    ${markdown.parse(source, { async: false })}
  </body>
</html>
`;
}
