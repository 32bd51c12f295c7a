import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The system user that runs a PostgreSQL server. */
export type Account = { uid: number; gid: number };

/**
 * Chooses the system user for PostgreSQL, which refuses to run as root. If this process runs as root (typically in a
 * container), it is the owner of the existing data folder, or else the system user `postgres`, which is created if
 * necessary.
 * @returns undefined if this process does not run as root: PostgreSQL then runs as the same user
 */
export function postgresAccount(dataDir: string, say: (line: string) => void): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (existsSync(path.join(dataDir, 'PG_VERSION'))) {
    const { uid, gid } = statSync(dataDir);
    if (uid !== 0) return { uid, gid };
  }
  const existing = lookUp();
  if (existing !== undefined) return existing;
  say('PostgreSQL: does not run as root; creating the system user postgres for it');
  spawnSync('groupadd', ['--system', 'postgres']);
  spawnSync('useradd', ['--system', '--gid', 'postgres', '--no-create-home', 'postgres']);
  const created = lookUp();
  if (created !== undefined) return created;
  throw new Error(
    'PostgreSQL does not run as root, and creating the system user postgres failed. Create this user, or run npm start as another user.',
  );
}

/** Whether the account may enter a folder and all its parent folders. */
function canEnter(folder: string, account: Account): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...account, cwd: '/' }).status === 0;
}

/**
 * The folder for the data: the wanted folder if the account can reach it. Otherwise (for example, in a private home
 * folder) it is a permanent system folder, always the same for the same wanted folder.
 */
export function reachableFolder(wanted: string, account: Account | undefined, say: (line: string) => void): string {
  const parent = path.dirname(wanted);
  mkdirSync(parent, { recursive: true });
  if (account === undefined || canEnter(parent, account)) return wanted;
  const key = createHash('sha256').update(wanted).digest('hex').slice(0, 12);
  const folder = path.join(sharedFolder(), `data-${key}`, path.basename(wanted));
  mkdirSync(path.dirname(folder), { recursive: true, mode: 0o755 });
  say(`PostgreSQL: the system user cannot enter ${parent}; the data is stored in ${folder}`);
  return folder;
}

/** A system folder that every user can enter. Only for processes that run as root. */
export function sharedFolder(): string {
  for (const base of ['/var/lib', tmpdir()]) {
    try {
      const folder = path.join(base, 'parley');
      mkdirSync(folder, { recursive: true, mode: 0o755 });
      return folder;
    } catch {
      continue;
    }
  }
  throw new Error(
    'Cannot write to /var/lib or to the temporary folder. Allow one of them, or run npm start as another user.',
  );
}

function lookUp(): Account | undefined {
  const id = (flag: string): number =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout.trim() || NaN);
  const account = { uid: id('-u'), gid: id('-g') };
  return Number.isInteger(account.uid) && Number.isInteger(account.gid) ? account : undefined;
}
