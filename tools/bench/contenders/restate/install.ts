import { accessSync, constants, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../../../local/run-command.ts';
import { cachePath } from '../../../../local/temporal-binary.ts';
import { packageRoot } from '../../../../process/package-root.ts';
import { RESTATE_SERVER_VERSION } from './version.ts';

const program = { command: 'restate-server', version: RESTATE_SERVER_VERSION };
/** A path here is used instead of the cache. */
const VARIABLE = 'RESTATE_SERVER_PATH';

/**
 * Finds Restate's server, or installs it once for all clones of this user. It is no dependency of the package, because its
 * binary has 216 MB and only this benchmark runs it. `server/package-lock.json` has the hash that npm checks.
 * @returns the path of the program
 */
export async function resolveRestateServer(say: (line: string) => void): Promise<string> {
  const explicit = process.env[VARIABLE];
  if (explicit !== undefined && explicit !== '') return explicit;
  const target = cachePath(program, process.env);
  if (isExecutable(target)) return target;

  say(`Restate: installing its server ${program.version} (once; it is kept in ${path.dirname(target)})`);
  mkdirSync(path.dirname(target), { recursive: true });
  const staging = mkdtempSync(path.join(path.dirname(target), '.new-'));
  try {
    const source = path.join(packageRoot(), 'tools/bench/contenders/restate/server');
    for (const file of ['package.json', 'package-lock.json'])
      copyFileSync(path.join(source, file), path.join(staging, file));
    await runCommand('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: staging });
    const name = `restate-server-${process.platform}-${process.arch}`;
    const binary = path.join(staging, 'node_modules/@restatedev', name, 'bin', program.command);
    if (!isExecutable(binary)) throw new Error(`There is no server of Restate for ${process.platform} ${process.arch}`);
    renameSync(binary, target);
    return target;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
