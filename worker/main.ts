import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { NativeConnection, Runtime, type Worker, makeTelemetryFilterString } from '@temporalio/worker';
import { Mutex } from 'async-mutex';
import type pg from 'pg';
import { loadConfigOrExit } from '../process/config.ts';
import { logUncaughtErrors } from '../process/uncaught-errors.ts';
import { makeLogger } from '../process/logger.ts';
import { makeDatabaseClock } from '../process/database-clock.ts';
import { type Metrics, makeMetrics } from '../process/metrics.ts';
import { exitWithParent } from '../process/exit-with-parent.ts';
import { createCleanup } from '../process/cleanup.ts';
import { packageRoot } from '../process/package-root.ts';
import { askTemporal, isTemporalUp, makeTemporalClient } from '../process/temporal-client.ts';
import { temporalLogger } from '../process/temporal-logger.ts';
import { tryUntilDone } from '../process/try-until-done.ts';
import { makeNotifier } from '../store/log/notifications.ts';
import { makePool, measurePool } from '../store/pool.ts';
import { readClock } from '../store/settings.ts';
import { conversationSettings } from '../dispatch/conversation-settings.ts';
import { makeConversationWorkflows } from '../dispatch/conversation-workflows.ts';
import { makeSupervisedRuns } from '../dispatch/supervised-runs.ts';
import { startAdminServer } from './admin-server.ts';
import { type ConversationWorker, createWorker, workflowBundle } from './create-worker.ts';
import { watchFailedRuns } from './failed-runs.ts';
import { hostSupervisor } from './host-supervisor.ts';
import { ensureSweepSchedule } from './schedule.ts';

/** Time for Temporal to answer. */
const CHECK_MS = 1000;
/** How often the worker reads the clock of the database. */
const CLOCK_EVERY_MS = 5000;

// The worker process: it runs conversation workflows and their activities until SIGTERM or SIGINT. The SDK handles
// these signals: it waits for running activities, then `worker.run()` returns.
const config = loadConfigOrExit(process.env, 'worker');
const log = makeLogger({ level: config.logLevel, name: 'worker' });
logUncaughtErrors(log);
exitWithParent();
const cleanup = createCleanup();
try {
  await main();
} catch (error) {
  log.fatal({ err: error }, 'worker failed');
  process.exitCode = 1;
} finally {
  await cleanup.run().catch((error: unknown) => log.error({ err: error }, 'shutdown failed'));
}
// A thread of the SDK's native core would keep the process alive.
process.exit();

async function main(): Promise<void> {
  installRuntime();
  const stopping = stopSignal();
  const bundle = await workflowBundle(config.workflowStackTraces);
  const metrics = makeMetrics();
  const pool = connectPostgres(metrics);
  watchClock(pool, metrics);
  const client = connectClient();
  const running: { worker?: Worker } = {};
  await serveHealthAndMetrics({ isPolling: () => running.worker?.getState() === 'RUNNING', pool, client, metrics });
  const taskQueue = config.taskQueue;
  const settings = conversationSettings({
    idleMs: config.idleMs,
    continueAfter: config.continueAsNewAfter,
    logLevel: config.logLevel,
  });
  const workflows = makeConversationWorkflows({ client, taskQueue, settings });
  const turns = new Mutex();
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => turns.runExclusive(step);
  const supervision = hostSupervisor({
    client,
    connect: () => connectTemporal(client),
    inTurn,
    stopping,
    namespace: config.temporalNamespace,
    taskQueue,
    pool,
    runs: makeSupervisedRuns({ client, taskQueue, settings, workflows }),
    version: await packageVersion(),
    build: 'unknown',
    metrics,
    log,
  });
  const create = (connection: NativeConnection): Promise<ConversationWorker> =>
    createWorker({
      connection,
      workflows,
      namespace: config.temporalNamespace,
      taskQueue,
      pool,
      notifier: makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed')),
      metrics,
      log,
      maxCachedWorkflows: config.workerCacheSize,
      taskSlots: config.workerTaskSlots,
      bundle,
      promiseHook: config.workflowPromiseHook,
    });
  // Temporal may come later than this process. Until then its health says so.
  const created = await tryUntilDone({
    what: 'connection to Temporal',
    step: () => inTurn(() => connectWorker(client, create)),
    log,
    signal: stopping,
  });
  if (created === undefined) {
    await supervision;
    return;
  }
  metrics.actorMailboxDepth(created.residents.queued);
  const failedRuns = watchFailedRuns(client, config.taskQueue, log);
  metrics.failedRuns(failedRuns.count);
  cleanup.add('failed runs', failedRuns.close);
  const schedule = tryUntilDone({
    what: 'schedule of the sweep',
    step: () => ensureSweepSchedule(client, config.taskQueue),
    log,
    signal: stopping,
  });
  running.worker = created.worker;
  const promiseHook = created.hasPromiseHook ? 'on' : 'off';
  log.info({ taskQueue: config.taskQueue, adminPort: config.adminPort, promiseHook }, 'worker started');
  await created.worker.run();
  await Promise.all([schedule, supervision]);
  log.info('worker stopped');
}

/**
 * Aborted by the first SIGTERM or SIGINT. The SDK handles these signals only for a worker that runs; this is for the time
 * before.
 */
function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'signal received');
      stopping.abort();
    });
  }
  return stopping.signal;
}

/** Sets up the SDK's native core: its log goes to our log, and its metrics get their own port. */
function installRuntime(): void {
  const { sdkMetricsPort, host } = config;
  const prometheus = { bindAddress: `${host}:${sdkMetricsPort}`, useSecondsForDurations: true };
  Runtime.install({
    logger: temporalLogger(log),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
      ...(sdkMetricsPort === 0 ? {} : { metrics: { prometheus } }),
    },
  });
}

function connectPostgres(metrics: Metrics): pg.Pool {
  const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'parley-worker' });
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
  cleanup.add('pool', () => pool.end());
  metrics.pool('worker', measurePool(pool));
  return pool;
}

/** No decision of a worker needs the time. But its host may be that of an API or of Temporal, so its skew is shown too. */
function watchClock(pool: pg.Pool, metrics: Metrics): void {
  const clock = makeDatabaseClock({ log });
  metrics.clockSkew(() => clock.skewMs() / 1000);
  const look = (): void => {
    clock
      .learnFrom(() => readClock(pool))
      .catch((error: unknown) => log.debug({ err: error }, 'clock of the database not read'));
  };
  look();
  const timer = setInterval(look, CLOCK_EVERY_MS);
  cleanup.add('clock', () => clearInterval(timer));
}

/** The client starts workflows for the sweep, and asks whether Temporal answers. */
function connectClient(): Client {
  const { client, connection } = makeTemporalClient({
    address: config.temporalAddress,
    namespace: config.temporalNamespace,
    identity: `worker-${process.pid}`,
  });
  cleanup.add('client', () => connection.close());
  return client;
}

/**
 * Opens the connection that polls for tasks, and creates the worker on it.
 * @throws Error if Temporal does not answer
 */
async function connectWorker(
  client: Client,
  create: (connection: NativeConnection) => Promise<ConversationWorker>,
): Promise<ConversationWorker> {
  const connection = await connectTemporal(client);
  try {
    const created = await create(connection);
    cleanup.add('connection', () => connection.close());
    return created;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Opens a connection on which a worker polls. @throws Error if Temporal does not answer */
async function connectTemporal(client: Client): Promise<NativeConnection> {
  // This call has a time limit. The native connection would wait for a server that accepts it and says nothing.
  await askTemporal(client, CHECK_MS);
  return NativeConnection.connect({ address: config.temporalAddress });
}

async function packageVersion(): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

async function serveHealthAndMetrics(parts: {
  readonly isPolling: () => boolean;
  readonly pool: pg.Pool;
  readonly client: Client;
  readonly metrics: Metrics;
}): Promise<void> {
  const { isPolling, pool, client, metrics } = parts;
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    ready: async () => ({
      polling: isPolling(),
      database: await pool.query('select 1').then(
        () => true,
        () => false,
      ),
      temporal: await isTemporalUp(client, CHECK_MS),
    }),
    metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
  });
  cleanup.add('admin server', () => void admin.close());
}
