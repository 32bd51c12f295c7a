import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Files of the repository that Docker gets to see: `.dockerignore`, whose last matching line decides. */
export function contextFiles(root: string): string[] {
  const rules = readFileSync(path.join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ isKept: line.startsWith('!'), pattern: line.replace(/^!/, '') }));
  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file !== '');
  return tracked.filter((file) => {
    const last = rules.filter(({ pattern }) => matches(file, pattern)).at(-1);
    return last?.isKept !== false;
  });
}

/** The patterns that `.dockerignore` uses: `*`, a folder or file with all below it, and `folder/*`. */
function matches(file: string, pattern: string): boolean {
  if (pattern === '*') return true;
  if (pattern.endsWith('/*')) return file.startsWith(pattern.slice(0, -1));
  return file === pattern || file.startsWith(`${pattern}/`);
}
