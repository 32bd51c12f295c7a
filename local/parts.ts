import path from 'node:path';
import type { Cleanup } from '../process/cleanup.ts';
import { describeExit, startChild } from './child.ts';
import { keepRunning, type Running } from './keep-running.ts';
import type { StackOptions } from './options.ts';
import type { PartStates } from './part-states.ts';
import { freePort, loopback } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { probeApi, probeWorker, type Probe } from './probes.ts';
import { startProgram } from './program.ts';
import { resolveProgram } from './temporal-binary.ts';
import { temporalCli } from './temporal-programs.ts';
import { startTemporal } from './temporal-server.ts';
import { messageOf } from '../process/message-of.ts';

/** Everything that is needed to start one part of the local stack. */
export type PartContext = {
  options: StackOptions;
  scripts: { migrate: string; worker: string; api: string };
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
  cleanup: Cleanup;
  /** What others are told of the parts. */
  states: PartStates;
  /** Aborted when the stack is stopped, also during its start. */
  signal: AbortSignal;
};

/** The parts in the order in which they stop: the reverse of the order in which they start. */
export const partNames = ['grafana', 'prometheus', 'api', 'worker', 'migrate', 'temporal', 'postgres'] as const;
export type PartName = (typeof partNames)[number];

/** Paths of a part's log file and pid file. */
export function partFiles({ dataDir }: StackOptions, part: PartName): { logFile: string; pidFile: string } {
  return { logFile: path.join(dataDir, 'logs', `${part}.log`), pidFile: path.join(dataDir, 'run', `${part}.json`) };
}

/**
 * What a killed server has to do at its next start, kept small: it replays what it wrote since the last checkpoint, and writes its
 * whole folder to disk, which one call of Linux does faster than a call for each file.
 */
const quickRecovery = [
  ...['-c', 'checkpoint_timeout=1min', '-c', 'max_wal_size=256MB'],
  ...(process.platform === 'linux' ? ['-c', 'recovery_init_sync_method=syncfs'] : []),
];

/** Starts PostgreSQL and returns the URL of Parley's database. */
export async function startDatabase(context: PartContext): Promise<string> {
  const { options, say, signal } = context;
  const { dataDir, ports } = options;
  say(`PostgreSQL: starting on port ${ports.postgres}`);
  const files = partFiles(options, 'postgres');
  const start = { dataDir: path.join(dataDir, 'postgres'), port: ports.postgres, flags: quickRecovery, ...files };
  const server = await startPostgres({ ...start, say, signal });
  keepServer(context, 'PostgreSQL', 'postgres', server, (stopping) =>
    startPostgres({ ...start, say: () => undefined, signal: stopping, isRestart: true }),
  );
  return server.url();
}

/**
 * Finds or downloads the Temporal server, and starts it.
 * @throws Error if there is no program, or if the server does not start and conversations need it
 */
export async function startTemporalServer(
  context: PartContext,
): Promise<{ address: string; uiUrl: string; metricsPort: number | undefined }> {
  const { options, env, say, signal } = context;
  const metricsPort = options.observe ? await freePort() : undefined;
  const { dataDir, namespace, ports } = options;
  const binary = await resolveProgram(temporalCli, { say, env, signal });
  signal.throwIfAborted();
  const start = {
    binary,
    dataDir: path.join(dataDir, 'temporal'),
    port: ports.temporal,
    uiPort: ports.temporalUi,
    ...(metricsPort === undefined ? {} : { metricsPort }),
    namespace,
    ...partFiles(options, 'temporal'),
  };
  const server = await startTemporal({ ...start, say, signal }).catch((error: unknown) => {
    if (signal.aborted || !options.servesWithoutTemporal) throw error;
    say(`${messageOf(error)}\nTemporal: Parley starts without it, and tries again.`);
    return undefined;
  });
  keepServer(context, 'Temporal', 'temporal', server, (stopping) =>
    startTemporal({ ...start, say: () => undefined, signal: stopping }),
  );
  return { address: `${loopback}:${ports.temporal}`, uiUrl: `http://${loopback}:${ports.temporalUi}`, metricsPort };
}

/** Migrates the database. */
export async function migrate({ options, scripts, env, say, signal }: PartContext): Promise<void> {
  say('Database: applying migrations');
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

/**
 * Starts the worker and the API at the same time. The API stops first, also in the middle of the start: it needs the worker.
 * @throws Error of the first that does not start; the other has ended too then
 */
export async function startPrograms(context: PartContext): Promise<void> {
  context.signal.throwIfAborted();
  const failure = new AbortController();
  const halt = AbortSignal.any([context.signal, failure.signal]);
  const apiHasEnded = new AbortController();
  const start = async (part: ProgramPart, signal: AbortSignal): Promise<StartedPart> => {
    try {
      return await startPart({ ...context, signal }, part);
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  };
  const { host, ports } = context.options;
  const url = (port: number): string => `http://${host}:${port}`;
  // Longer than the worker waits for its running activities (20 s). Its port for health and metrics shows when it is ready.
  const worker = start(
    { name: 'Worker', part: 'worker', url: url(ports.admin), probe: probeWorker, stopGraceMs: 40_000 },
    apiHasEnded.signal,
  );
  // Longer than the API waits for its running requests (15 s).
  const api = start({ name: 'API', part: 'api', url: url(ports.api), probe: probeApi, stopGraceMs: 20_000 }, halt);
  halt.addEventListener('abort', () => {
    const ended = api.then(({ stop }) => stop()).catch(() => undefined);
    void ended.then(() => apiHasEnded.abort(halt.reason));
  });
  for (const one of await Promise.allSettled([worker, api])) {
    if (one.status === 'fulfilled') context.cleanup.add(one.value.name, one.value.stop);
  }
  halt.throwIfAborted();
}

type ProgramPart = {
  name: string;
  part: 'worker' | 'api';
  url: string;
  probe: (url: string) => Promise<Probe>;
  stopGraceMs: number;
};

type StartedPart = {
  name: string;
  /** Later calls wait for the same end. */
  stop: () => Promise<void>;
};

async function startPart(
  { options, scripts, env, say, states, signal }: PartContext,
  { name, part, url, probe, stopGraceMs }: ProgramPart,
): Promise<StartedPart> {
  say(`${name}: starting (${url})`);
  const program = await startProgram({
    name,
    script: scripts[part],
    env,
    ...partFiles(options, part),
    probe: () => probe(url),
    readyTimeoutMs: 60_000,
    stopGraceMs,
    say,
    signal,
    onReady: () => states.set(part, 'running'),
    onEnd: () => states.set(part, 'down'),
    wasExpected: () => states.wasExpected(part),
  });
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    say(`${name}: stopping`);
    await program.stop();
    states.set(part, 'down');
  };
  return { name, stop: () => (stopping ??= stop()) };
}

/**
 * Starts a server again each time it ends, and registers its shutdown. Its data is in its folder: what was acknowledged is
 * there after the restart.
 * @param first absent = it did not start
 */
export function keepServer(
  { options, cleanup, states, say }: PartContext,
  name: string,
  part: Exclude<PartName, 'api' | 'worker' | 'migrate'>,
  first: Running | undefined,
  start: (signal: AbortSignal) => Promise<Running>,
): void {
  if (first !== undefined) states.set(part, 'running');
  const kept = keepRunning({
    name,
    first,
    start: async (signal) => {
      const server = await start(signal);
      states.set(part, 'running');
      say(`${name}: ready again`);
      return server;
    },
    details: () => ` Its log: ${partFiles(options, part).logFile}`,
    say,
    onEnd: () => states.set(part, 'down'),
    wasExpected: () => states.wasExpected(part),
  });
  cleanup.add(name, async () => {
    say(`${name}: stopping`);
    await kept.stop();
  });
}
