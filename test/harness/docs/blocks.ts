import { readdirSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../../process/package-root.ts';
import { pages, read } from '../markdown.ts';

/** A block of commands in the documentation. */
export interface CommandBlock {
  /** Path from the package's folder. */
  readonly page: string;
  /** From 1. */
  readonly line: number;
  readonly language: 'sh' | 'sql';
  /** Without the indent of the list that it may stand in. */
  readonly text: string;
  /** Page and first line: the name under which lists have it. */
  readonly name: string;
}

/** Pages with commands: those that people read, and those of folders. */
export function commandPages(): string[] {
  const readmes = readdirSync(packageRoot(), { withFileTypes: true })
    .filter(
      (file) =>
        file.isDirectory() && !file.name.startsWith('.') && file.name !== 'node_modules' && file.name !== 'docs',
    )
    .flatMap(({ name }) =>
      readdirSync(path.join(packageRoot(), name), { recursive: true, encoding: 'utf8' })
        .filter((file) => path.basename(file) === 'README.md' && !file.includes('node_modules'))
        .map((file) => path.join(name, file)),
    );
  return [...pages(), ...readmes].filter((page) => !page.startsWith('dist/') && !page.startsWith('site/')).sort();
}

/** All blocks of shell and SQL, in the order of pages and lines. */
export function commandBlocks(): CommandBlock[] {
  return commandPages().flatMap((page) => blocksIn(page, read(page)));
}

/** Blocks that say the same, once: under the name of the first. */
export function distinct(blocks: readonly CommandBlock[]): CommandBlock[] {
  return [...new Map([...blocks].reverse().map((block) => [block.text, block])).values()].reverse();
}

/** The blocks of one page. @param markdown its text */
export function blocksIn(page: string, markdown: string): CommandBlock[] {
  const lines = markdown.split('\n');
  const blocks: CommandBlock[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, indent = '', language] = /^( *)```(\w*)\s*$/.exec(lines[at] ?? '') ?? [];
    if (language === undefined) continue;
    const end = lines.indexOf(`${indent}\`\`\``, at + 1);
    if (end < 0) throw new Error(`${page} has a block that does not end, at line ${at + 1}`);
    const text = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
    if (language === 'sh' || language === 'bash' || language === 'sql') {
      blocks.push({
        page,
        line: at + 1,
        language: language === 'sql' ? 'sql' : 'sh',
        text: text.join('\n'),
        name: `${page}: ${text[0] ?? ''}`,
      });
    }
    at = end;
  }
  return blocks;
}

/** The commands of a block: without comments, one for each line and for each part of `a && b`. */
export function commandsOf(text: string): string[] {
  return text
    .replaceAll(/\\\n\s*/g, '')
    .split(/\n|&&/)
    .map((line) => line.replace(/(?:^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** Commands in the text of pages, such as those of tables: each `npm run <name> -- …` once, but those with a `<placeholder>`. */
export function commandsInText(script: string): string[] {
  const commands = commandPages().flatMap((page) =>
    [...read(page).matchAll(/`(npm run ([\w:-]+) -- [^`<\n]+)`/g)].flatMap(([, command = '', name]) =>
      name === script ? [command] : [],
    ),
  );
  return [...new Set(commands)];
}
