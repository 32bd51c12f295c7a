import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { StackOptions } from './options.ts';
import { partFiles, type PartContext, type PartName, partNames } from './parts.ts';
import { livePid, stopLeftover, takeLock } from './pid-file.ts';
import { signalProcess } from './process-table.ts';
import { messageOf } from '../process/message-of.ts';

/**
 * Locks the data folder, so that only one stack uses it. Then stops processes of an earlier stack whose supervisor was
 * killed.
 * @throws Error if another stack uses the folder
 */
export async function lockDataFolder({
  options,
  say,
  cleanup,
}: Pick<PartContext, 'options' | 'say' | 'cleanup'>): Promise<void> {
  const lock = lockFile(options);
  let holder: number | undefined;
  try {
    mkdirSync(path.join(options.dataDir, 'logs'), { recursive: true });
    holder = await takeLock(lock);
  } catch (cause) {
    throw new Error(`PARLEY_DATA_DIR: nothing can be written to ${options.dataDir} (${messageOf(cause)}).`, { cause });
  }
  if (holder !== undefined) {
    throw new Error(
      `Parley is already running in ${options.dataDir} (process ${holder}). Stop it first, or set PARLEY_DATA_DIR to another folder.`,
    );
  }
  cleanup.add('lock', () => rmSync(lock, { force: true }));
  await stopLeftovers(options, say);
}

/** Parley's own processes first, all at once: they use the servers. */
async function stopLeftovers(options: StackOptions, say: (line: string) => void): Promise<void> {
  const servers: readonly PartName[] = ['temporal', 'postgres'];
  const programs = partNames.filter((part) => !servers.includes(part));
  for (const parts of [programs, servers]) {
    await Promise.all(
      parts.map(async (part) => {
        // SIGINT is PostgreSQL's fast shutdown. The other programs use SIGTERM.
        const signal = part === 'postgres' ? 'SIGINT' : 'SIGTERM';
        const stopped = await stopLeftover(partFiles(options, part).pidFile, signal, 15_000);
        if (stopped) say(`Stopped ${part}, which was still running from an earlier start`);
      }),
    );
  }
}

/** Sends SIGKILL to every process of this stack. Processes of other stacks are not touched. */
export function killAllParts(options: StackOptions): void {
  if (livePid(lockFile(options)) !== process.pid) return;
  for (const part of partNames) {
    const pid = livePid(partFiles(options, part).pidFile);
    if (pid !== undefined) signalProcess(pid, 'SIGKILL');
  }
  rmSync(lockFile(options), { force: true });
}

function lockFile({ dataDir }: StackOptions): string {
  return path.join(dataDir, 'run', 'supervisor.json');
}
