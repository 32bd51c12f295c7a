import { NativeConnection, Runtime, makeTelemetryFilterString } from '@temporalio/worker';
import { loadConfig } from '../process/config.ts';
import { logUncaught } from '../process/uncaught-errors.ts';
import { makeLogger } from '../process/logger.ts';
import { makeMetrics } from '../process/metrics.ts';
import { exitWithParent } from '../process/exit-with-parent.ts';
import { createCleanup } from '../process/cleanup.ts';
import { isTemporalUp, makeTemporalClient } from '../process/temporal-client.ts';
import { temporalLogger } from '../process/temporal-logger.ts';
import { makeNotifier } from '../store/log/notifications.ts';
import { makePool, measurePool } from '../store/pool.ts';
import { makeSettings } from '../workflows/conversation/start.ts';
import { startAdminServer } from './admin-server.ts';
import { createWorker } from './create-worker.ts';
import { ensureSweepSchedule } from './schedule.ts';

/** The worker process: runs conversations until it is told to stop. SIGTERM drains; the SDK handles the signal. */
const CHECK_MS = 1000;

const config = loadConfig(process.env, 'worker');
const log = makeLogger({ level: config.logLevel, name: 'worker' });
logUncaught(log);
exitWithParent();
Runtime.install({
  logger: temporalLogger(log),
  telemetryOptions: {
    logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
    ...(config.sdkMetricsPort === 0
      ? {}
      : {
          metrics: {
            prometheus: { bindAddress: `${config.host}:${config.sdkMetricsPort}`, useSecondsForDurations: true },
          },
        }),
  },
});
const cleanup = createCleanup();
try {
  const metrics = makeMetrics();
  const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'parley-worker' });
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
  cleanup.add('pool', () => pool.end());
  metrics.pool('worker', measurePool(pool));
  const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
  const { client, connection: clientConnection } = makeTemporalClient({
    address: config.temporalAddress,
    namespace: config.temporalNamespace,
    identity: `worker-${process.pid}`,
  });
  cleanup.add('client', () => clientConnection.close());
  const connection = await NativeConnection.connect({ address: config.temporalAddress });
  cleanup.add('connection', () => connection.close());
  const { worker } = await createWorker({
    connection,
    client,
    namespace: config.temporalNamespace,
    taskQueue: config.taskQueue,
    pool,
    notifier,
    metrics,
    log,
    settings: makeSettings({
      idleMs: config.idleMs,
      continueAfter: config.continueAsNewAfter,
      logLevel: config.logLevel,
    }),
    maxCachedWorkflows: config.workerCacheSize,
    taskSlots: config.workerTaskSlots,
    stackTraces: config.workflowStackTraces,
  });
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
  await ensureSweepSchedule(client, config.taskQueue);
  log.info({ taskQueue: config.taskQueue, adminPort: config.adminPort }, 'worker started');
  await worker.run();
  log.info('worker stopped');
} catch (error) {
  log.fatal({ err: error }, 'worker failed');
  process.exitCode = 1;
} finally {
  await cleanup.run().catch((error: unknown) => log.error({ err: error }, 'shutdown failed'));
}
// Core keeps a runtime thread; nothing of ours is left to do.
process.exit();
