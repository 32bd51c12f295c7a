import { Html, html } from './html.ts';

/** The Markdown that problem pages use: headings, paragraphs, lists, fenced code, `code` and links. */
export function renderMarkdown(source: string): Html[] {
  // Fenced blocks keep their blank lines.
  const blocks = source
    .split(/^(```[^\n]*\n[^]*?^```)$/m)
    .flatMap((part) => (part.startsWith('```') ? [part] : part.split(/\n{2,}/)));
  return blocks
    .map((block) => block.trim())
    .filter((block) => block !== '')
    .map(renderBlock);
}

function renderBlock(block: string): Html {
  const fence = /^```[^\n]*\n([^]*?)\n?```$/.exec(block);
  if (fence !== null) return html`<pre>${fence[1]}</pre>`;
  const heading = /^(#{1,3}) (.+)$/.exec(block);
  if (heading !== null) {
    const level = heading[1]?.length ?? 1;
    return html`${new Html(`<h${level}>`)}${spans(heading[2] ?? '')}${new Html(`</h${level}>`)}`;
  }
  if (block.startsWith('- ')) {
    const items = block.slice(2).split(/\n- /);
    return html`<ul>
      ${items.map((item) => html`<li>${spans(item)}</li>`)}
    </ul>`;
  }
  return html`<p>${spans(block)}</p>`;
}

function spans(text: string): Html[] {
  return text.split(/(`[^`]+`|\[[^\]]+\]\([^)\s]+\))/).map((part) => {
    if (part.startsWith('`')) return html`<code>${part.slice(1, -1)}</code>`;
    const link = /^\[([^\]]+)\]\(([^)\s]+)\)$/.exec(part);
    // Pages link to one another as files; served, they have no extension.
    return link === null ? html`${part}` : html`<a href="${link[2]?.replace(/\.md$/, '')}">${spans(link[1] ?? '')}</a>`;
  });
}
