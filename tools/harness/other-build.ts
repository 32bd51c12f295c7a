import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';

/** What another build has more than this one. */
export interface BuildChange {
  /** Statements that each run makes at its start, in the language of the bundle. */
  readonly workflow?: string;
  /** SQL of one more migration. */
  readonly migration?: string;
}

/** A line of the bundle, at the start of each run. */
const START = '    announceStart();\n';
/** After all migrations that there are. */
const NEXT_MIGRATION = '9999_next.sql';

/**
 * A copy of the built package with a change, as a release before or after this one.
 * @param folder where to put it
 * @returns its root, for processes
 */
export function otherBuild(folder: string, { workflow, migration }: BuildChange): string {
  const root = path.join(folder, 'other-build');
  mkdirSync(root, { recursive: true });
  for (const part of ['dist', 'store', 'package.json']) {
    cpSync(path.join(packageRoot(), part), path.join(root, part), { recursive: true });
  }
  symlinkSync(path.join(packageRoot(), 'node_modules'), path.join(root, 'node_modules'));
  if (workflow !== undefined) {
    const bundle = path.join(root, 'dist', 'bundle', 'conversation.js');
    const code = readFileSync(bundle, 'utf8');
    if (!code.includes(START)) throw new Error(`The bundle has no line ${START.trim()} to put statements behind`);
    writeFileSync(bundle, code.replace(START, `${START}    ${workflow}\n`));
  }
  if (migration !== undefined) writeFileSync(path.join(root, 'store', 'migrations', NEXT_MIGRATION), migration);
  return root;
}
