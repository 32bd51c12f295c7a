import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { StackOptions } from './options.ts';
import { partFiles, partNames, type PartContext } from './parts.ts';
import { livePid, stopLeftover, takeLock } from './pid-file.ts';
import { assertPortFree } from './ports.ts';
import { signalProcess } from './process-table.ts';

/** Makes sure that this is the only stack on its data folder, and stops what a killed predecessor left running. */
export async function claimFolder({ options, say, cleanup }: PartContext): Promise<void> {
  mkdirSync(path.join(options.dataDir, 'logs'), { recursive: true });
  const lock = lockFile(options);
  const holder = await takeLock(lock);
  if (holder !== undefined) throw new Error(`Parley is already running in ${options.dataDir} (process ${holder}).`);
  cleanup.add('lock', () => rmSync(lock, { force: true }));
  for (const part of partNames) {
    // SIGINT is PostgreSQL's fast shutdown; the others take SIGTERM.
    const signal = part === 'postgres' ? 'SIGINT' : 'SIGTERM';
    const stopped = await stopLeftover(partFiles(options, part).pidFile, signal, 15_000);
    if (stopped) say(`Stopped ${part}, left over from a start that was killed`);
  }
}

/** Names all busy ports at once, before anything is started. */
export async function assertPortsFree({ ports, databaseUrl, temporalAddress }: StackOptions): Promise<void> {
  const wanted: [port: number, what: string, variable: string][] = [
    [ports.api, 'the API', 'PORT'],
    [ports.admin, "the worker's health and metrics", 'ADMIN_PORT'],
  ];
  if (ports.sdkMetrics !== 0) wanted.push([ports.sdkMetrics, "the worker's Temporal metrics", 'SDK_METRICS_PORT']);
  if (databaseUrl === undefined) wanted.push([ports.postgres, 'PostgreSQL', 'POSTGRES_PORT']);
  if (temporalAddress === undefined) {
    wanted.push([ports.temporal, 'Temporal', 'TEMPORAL_PORT']);
    wanted.push([ports.temporalUi, 'the Temporal Web UI', 'TEMPORAL_UI_PORT']);
  }
  const results = await Promise.allSettled(wanted.map((entry) => assertPortFree(...entry)));
  const problems = results.flatMap((result) =>
    result.status === 'rejected' ? [(result.reason as Error).message] : [],
  );
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** SIGKILL for every process of this stack, and of no other one. */
export function killRecorded(options: StackOptions): void {
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
