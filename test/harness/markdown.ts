import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { slugOf } from '../../tools/site/slug.ts';

/** A fenced block. */
export interface Block {
  /** The word behind the fence, for example `sh`. */
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a page, in order. */
export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    language,
    text,
  }));
}

/** A page without what stands in code, where brackets mean other things. */
export function proseOf(markdown: string): string {
  return markdown.replaceAll(/^```[^]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, (code) => 'x'.repeat(code.length));
}

/** Targets of the links of a page. */
export function linksOf(markdown: string): string[] {
  return [...proseOf(markdown).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target = '']) => target);
}

/** Anchors of the headings of a page, as GitHub makes them. */
export function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  const text = markdown.replaceAll(/^```[^]*?^```$/gm, '');
  for (const [, heading = ''] of text.matchAll(/^#{1,6} +(.+)$/gm)) {
    const base = slugOf(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Text of a file of the package. */
export function read(file: string): string {
  return readFileSync(path.join(packageRoot(), file), 'utf8');
}

/** The pages that people read: those at the root, and all under `docs`; paths from the package's folder. */
export function pages(): string[] {
  const root = packageRoot();
  const isPage = (file: string): boolean => file.endsWith('.md');
  const docs = readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter(isPage);
  return [...readdirSync(root).filter(isPage), ...docs.map((file) => path.join('docs', file))].sort();
}

/** Files of the decision records, in their order. */
export function records(): string[] {
  return readdirSync(path.join(packageRoot(), 'docs', 'adr'))
    .filter((name) => /^\d{4}-/.test(name))
    .sort();
}
