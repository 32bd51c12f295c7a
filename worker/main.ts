import type { Client } from '@temporalio/client';
import { NativeConnection, Runtime, type Worker, makeTelemetryFilterString } from '@temporalio/worker';
import type pg from 'pg';
import { loadConfigOrExit } from '../process/config.ts';
import { logUncaughtErrors } from '../process/uncaught-errors.ts';
import { makeLogger } from '../process/logger.ts';
import { makeDatabaseClock } from '../process/database-clock.ts';
import { type Metrics, makeMetrics } from '../process/metrics.ts';
import { exitWithParent } from '../process/exit-with-parent.ts';
import { createCleanup } from '../process/cleanup.ts';
import { isTemporalUp, makeTemporalClient } from '../process/temporal-client.ts';
import { temporalLogger } from '../process/temporal-logger.ts';
import { makeNotifier } from '../store/log/notifications.ts';
import { makePool, measurePool } from '../store/pool.ts';
import { readClock } from '../store/settings.ts';
import { conversationSettings } from '../dispatch/conversation-settings.ts';
import { makeConversationWorkflows } from '../dispatch/conversation-workflows.ts';
import { startAdminServer } from './admin-server.ts';
import { createWorker } from './create-worker.ts';
import { ensureSweepSchedule } from './schedule.ts';

/** Time limit of the readiness check of Temporal. */
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
  const metrics = makeMetrics();
  const pool = connectPostgres(metrics);
  watchClock(pool, metrics);
  const { client, connection } = await connectTemporal();
  const { worker, hasPromiseHook } = await createWorker({
    connection,
    workflows: makeConversationWorkflows({
      client,
      taskQueue: config.taskQueue,
      settings: conversationSettings({
        idleMs: config.idleMs,
        continueAfter: config.continueAsNewAfter,
        logLevel: config.logLevel,
      }),
    }),
    namespace: config.temporalNamespace,
    taskQueue: config.taskQueue,
    pool,
    notifier: makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed')),
    metrics,
    log,
    maxCachedWorkflows: config.workerCacheSize,
    taskSlots: config.workerTaskSlots,
    stackTraces: config.workflowStackTraces,
    promiseHook: config.workflowPromiseHook,
  });
  await serveHealthAndMetrics({ worker, pool, client, metrics });
  await ensureSweepSchedule(client, config.taskQueue);
  log.info({ taskQueue: config.taskQueue, adminPort: config.adminPort, promiseHook: hasPromiseHook ? 'on' : 'off' }, 'worker started');
  await worker.run();
  log.info('worker stopped');
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

/** The client starts workflows for the sweep; the native connection polls for tasks. */
async function connectTemporal(): Promise<{ client: Client; connection: NativeConnection }> {
  const { client, connection: clientConnection } = makeTemporalClient({
    address: config.temporalAddress,
    namespace: config.temporalNamespace,
    identity: `worker-${process.pid}`,
  });
  cleanup.add('client', () => clientConnection.close());
  const connection = await NativeConnection.connect({ address: config.temporalAddress });
  cleanup.add('connection', () => connection.close());
  return { client, connection };
}

async function serveHealthAndMetrics(parts: {
  readonly worker: Worker;
  readonly pool: pg.Pool;
  readonly client: Client;
  readonly metrics: Metrics;
}): Promise<void> {
  const { worker, pool, client, metrics } = parts;
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    ready: async () => ({
      polling: worker.getState() === 'RUNNING',
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
