import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { loadConfig } from '../../../../process/config.ts';
import { makeLogger } from '../../../../process/logger.ts';
import { temporalLogger } from '../../../../process/temporal-logger.ts';
import { makeNotifier } from '../../../../store/log/notifications.ts';
import { makePool } from '../../../../store/pool.ts';
import { startAdminServer } from '../../../../worker/admin-server.ts';
import { createNaiveActivities } from './activity.ts';

/** Worker of the naive contender. SDK defaults, except the task queue and one activity for each database connection. */
const config = loadConfig(process.env, 'worker');
const log = makeLogger({ level: config.logLevel, name: 'naive-worker' });
Runtime.install({ logger: temporalLogger(log) });
const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'naive-worker' });
pool.options.connectionTimeoutMillis = config.requestDeadlineMs;
pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
const connection = await NativeConnection.connect({ address: config.temporalAddress });
const worker = await Worker.create({
  connection,
  namespace: config.temporalNamespace,
  taskQueue: config.taskQueue,
  workflowsPath: fileURLToPath(new URL('./workflow.js', import.meta.url)),
  activities: createNaiveActivities(pool, notifier),
});
await startAdminServer({
  host: config.host,
  port: config.adminPort,
  ready: () => Promise.resolve({ polling: worker.getState() === 'RUNNING' }),
  metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
});
await worker.run();
process.exit();
