import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import prettier from 'prettier';
import { packageRoot } from '../../process/package-root.ts';

/** Replaces what stands between the two marks of this name in a page. @throws Error when the page lacks them */
export function replaceBetweenMarks(page: string, name: string, text: string): string {
  const [start, end] = [`<!-- ${name}: written by a command -->`, `<!-- ${name}: end -->`];
  const from = page.indexOf(start);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`The page has no marks for ${name}.`);
  return `${page.slice(0, from + start.length)}\n\n${text}\n\n${page.slice(to)}`;
}

/** Writes a part of a page of the repository, formatted as the repository wants it. @param file below its root */
export async function writePart(file: string, name: string, text: string): Promise<void> {
  const full = path.join(packageRoot(), file);
  await writeFormatted(full, replaceBetweenMarks(await readFile(full, 'utf8'), name, text));
}

/** Writes a file as `npm run format` would. */
export async function writeFormatted(file: string, text: string): Promise<void> {
  const options = await prettier.resolveConfig(file);
  await writeFile(file, await prettier.format(text, { ...options, filepath: file }));
}

/** A Markdown table. @param rows cells; a `|` in them is escaped */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
