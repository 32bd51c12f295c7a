import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { StackOptions } from './options.ts';

// Where the stack of `npm start` listens: other terminals need not repeat its ports.

/** A stack that runs in a data folder. */
export type RunningStack = {
  /** Of `npm start`. */
  readonly pid: number;
  /** Of the API. */
  readonly url: string;
  /** Of the PostgreSQL server that the stack runs. Absent = it uses another. */
  readonly databaseUrl?: string;
};

const fileIn = (dataDir: string): string => path.join(dataDir, 'running.json');

/** Notes that a stack is ready. Only its user may read this: it has a password. */
export function writeRunningStack(dataDir: string, stack: RunningStack): void {
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(fileIn(dataDir), JSON.stringify(stack), { mode: 0o600 });
}

/** @returns `undefined` when `npm start` does not run here; a note of one that was killed does not count */
export function readRunningStack(dataDir: string): RunningStack | undefined {
  try {
    const stack = JSON.parse(readFileSync(fileIn(dataDir), 'utf8')) as RunningStack;
    process.kill(stack.pid, 0);
    return stack;
  } catch {
    return undefined;
  }
}

export function removeRunningStack(dataDir: string): void {
  rmSync(fileIn(dataDir), { force: true });
}

/** Where the service is, and who says so. */
export type ServiceUrl = { readonly url: string; readonly from: 'PARLEY_URL' | 'npm start' | 'default' };

/**
 * Finds the service for a program on this machine: `PARLEY_URL`, else the stack that runs in the data folder, else the address that
 * `npm start` would use.
 */
export function findService(
  env: NodeJS.ProcessEnv,
  { dataDir, host, ports }: Pick<StackOptions, 'dataDir' | 'host' | 'ports'>,
): ServiceUrl {
  const given = env.PARLEY_URL?.trim() ?? '';
  if (given !== '') return { url: given, from: 'PARLEY_URL' };
  const running = readRunningStack(dataDir);
  if (running !== undefined) return { url: running.url, from: 'npm start' };
  return { url: `http://${host}:${ports.api}`, from: 'default' };
}
