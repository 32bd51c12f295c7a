import path from 'node:path';
import type { Cleanup } from '../process/cleanup.ts';
import { describeExit, startChild, type Exit } from './child.ts';
import type { StackOptions } from './options.ts';
import { startPostgres } from './postgres.ts';
import { startProgram } from './program.ts';
import { resolveProgram } from './temporal-binary.ts';
import { temporalCli } from './temporal-programs.ts';
import { startTemporal } from './temporal-server.ts';

export type PartContext = {
  options: StackOptions;
  scripts: { migrate: string; worker: string; api: string };
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
  cleanup: Cleanup;
  /** Aborted when the start is given up. */
  signal: AbortSignal;
  /** Told of an end that cannot be repaired. */
  fail: (error: Error) => void;
};

/** The parts in the order of their end, which is the reverse of their start. */
export const partNames = ['api', 'worker', 'migrate', 'temporal', 'postgres'] as const;
export type PartName = (typeof partNames)[number];

/** Where a part's log and pid file are. */
export function partFiles({ dataDir }: StackOptions, part: PartName): { logFile: string; pidFile: string } {
  return { logFile: path.join(dataDir, 'logs', `${part}.log`), pidFile: path.join(dataDir, 'run', `${part}.json`) };
}

/** Starts PostgreSQL and returns the URL of Parley's database. */
export async function startDatabase(context: PartContext): Promise<string> {
  const { options, say } = context;
  const { dataDir, ports } = options;
  say(`PostgreSQL: starting on port ${ports.postgres}`);
  const files = partFiles(options, 'postgres');
  const server = await startPostgres({ dataDir: path.join(dataDir, 'postgres'), port: ports.postgres, say, ...files });
  lookAfter(context, 'PostgreSQL', server);
  return server.url();
}

/** Finds or fetches Temporal, and starts it. */
export async function startTemporalServer(
  context: PartContext,
): Promise<{ address: string; uiUrl: string | undefined }> {
  const { options, env, say, signal } = context;
  const { dataDir, namespace, ports } = options;
  const binary = await resolveProgram(temporalCli, { say, env, signal });
  signal.throwIfAborted();
  const server = await startTemporal({
    binary,
    dataDir: path.join(dataDir, 'temporal'),
    port: ports.temporal,
    uiPort: ports.temporalUi,
    namespace,
    say,
    ...partFiles(options, 'temporal'),
  });
  lookAfter(context, 'Temporal', server);
  return server;
}

/** Brings the database's tables up to date. */
export async function migrate({ options, scripts, env, say, signal }: PartContext): Promise<void> {
  say('Database: bringing the tables up to date');
  const child = await startChild({
    command: process.execPath,
    args: ['--enable-source-maps', scripts.migrate],
    env,
    ...partFiles(options, 'migrate'),
  });
  const stop = (): void => void child.stop('SIGTERM', 5_000);
  signal.addEventListener('abort', stop);
  const exit = await child.exited;
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (exit.code !== 0) throw new Error(`The migration failed (${describeExit(exit)}):\n${child.tail()}`);
}

/** Starts the worker; its health is on the port for operators. */
export function startWorker(context: PartContext): Promise<void> {
  const { host, ports } = context.options;
  const url = `http://${host}:${ports.admin}`;
  // Longer than the worker waits for its activities.
  return startPart(context, { name: 'Worker', part: 'worker', url, stopGraceMs: 40_000 });
}

/** Starts the API. */
export function startApi(context: PartContext): Promise<void> {
  const { host, ports } = context.options;
  // Longer than one request's deadline.
  return startPart(context, { name: 'API', part: 'api', url: `http://${host}:${ports.api}`, stopGraceMs: 20_000 });
}

type ProgramPart = { name: string; part: 'worker' | 'api'; url: string; stopGraceMs: number };

async function startPart(context: PartContext, { name, part, url, stopGraceMs }: ProgramPart): Promise<void> {
  const { options, scripts, env, say, signal, cleanup } = context;
  say(`${name}: starting (${url})`);
  const program = await startProgram({
    name,
    script: scripts[part],
    env,
    ...partFiles(options, part),
    readyUrl: `${url}/health/ready`,
    readyTimeoutMs: 60_000,
    stopGraceMs,
    say,
    signal,
  });
  cleanup.add(name, async () => {
    say(`${name}: stopping`);
    await program.stop();
  });
}

/** Parley can wait for its worker or API to come back, but not for a server whose data it may have lost: its end ends all. */
function lookAfter(
  context: PartContext,
  name: string,
  server: { exited: Promise<Exit>; stop: () => Promise<void>; tail: () => string },
): void {
  const { cleanup, say, fail } = context;
  let stopping = false;
  cleanup.add(name, async () => {
    stopping = true;
    say(`${name}: stopping`);
    await server.stop();
  });
  void server.exited.then((exit) => {
    if (!stopping)
      fail(new Error(`${name} ended by itself (${describeExit(exit)}). Its last lines:\n${server.tail()}`));
  });
}
