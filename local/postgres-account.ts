import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The system user a cluster runs as. */
export type Account = { uid: number; gid: number };

/**
 * PostgreSQL refuses to run as root. For root (typically in a container) this is the owner of the existing data folder, else
 * the system user `postgres`, created if need be; for everybody else undefined: the user itself.
 */
export function postgresAccount(dataDir: string, say: (line: string) => void): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (existsSync(path.join(dataDir, 'PG_VERSION'))) {
    const { uid, gid } = statSync(dataDir);
    if (uid !== 0) return { uid, gid };
  }
  const existing = lookUp();
  if (existing !== undefined) return existing;
  say('PostgreSQL: it refuses to run as root; creating the system user postgres for it');
  spawnSync('groupadd', ['--system', 'postgres']);
  spawnSync('useradd', ['--system', '--gid', 'postgres', '--no-create-home', 'postgres']);
  const created = lookUp();
  if (created !== undefined) return created;
  throw new Error(
    'PostgreSQL refuses to run as root, and the system user postgres could not be created: create it, or use another user.',
  );
}

/** Whether the account may enter a folder, that is, all folders above it as well. */
function canEnter(folder: string, account: Account): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...account, cwd: '/' }).status === 0;
}

/**
 * The folder for the data: the wanted one, or for an account that cannot get there (a clone below a home that is closed to
 * others) a permanent one of the system's, always the same for the same wanted folder.
 */
export function reachableFolder(wanted: string, account: Account | undefined, say: (line: string) => void): string {
  const parent = path.dirname(wanted);
  mkdirSync(parent, { recursive: true });
  if (account === undefined || canEnter(parent, account)) return wanted;
  const key = createHash('sha256').update(wanted).digest('hex').slice(0, 12);
  const folder = path.join(sharedFolder(), `data-${key}`, path.basename(wanted));
  mkdirSync(path.dirname(folder), { recursive: true, mode: 0o755 });
  say(`PostgreSQL: its user cannot reach ${parent}, so its data is kept in ${folder}`);
  return folder;
}

/** A folder of the system's that every user can reach. Only root asks for it. */
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
  throw new Error('Neither /var/lib nor the temporary folder can be written to');
}

function lookUp(): Account | undefined {
  const id = (flag: string): number =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout.trim() || NaN);
  const account = { uid: id('-u'), gid: id('-g') };
  return Number.isInteger(account.uid) && Number.isInteger(account.gid) ? account : undefined;
}
