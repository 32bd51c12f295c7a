import { Logger, run } from 'graphile-worker';
import { loadConfig } from '../../../../process/config.ts';
import { makeLogger } from '../../../../process/logger.ts';
import { shutDownOnSignals } from '../../../../process/shutdown.ts';
import { makeNotifier } from '../../../../store/log/notifications.ts';
import { makePool } from '../../../../store/pool.ts';
import { startAdminServer } from '../../../../worker/admin-server.ts';
import { fromWire } from '../command.ts';
import { storeAlone } from '../single-writer/statement.ts';
import { gather } from './gather.ts';
import { DECIDE, type Job, RESULTS, type Result } from './job.ts';

/** As in its performance tests, and one more connection than jobs. */
const CONCURRENT_JOBS = 24;
/**
 * A worker that finds the queue of its next job locked at this moment sleeps until its next poll. The default, two seconds,
 * is for jobs that nobody waits for.
 */
const POLL_MS = 100;

// The worker of the graphile-worker contender. It also makes the tables of the queue.

const config = loadConfig(process.env, 'worker');
const log = makeLogger({ level: config.logLevel, name: 'graphile-worker' });
const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'graphile-task' });
pool.options.connectionTimeoutMillis = config.requestDeadlineMs;
pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
const warn = (error: unknown): void => log.warn({ err: error }, 'notify failed');
const notifier = makeNotifier(pool, warn);
const announce = gather<Result>(async (results) => {
  const payloads = results.map((result) => JSON.stringify(result));
  const text = 'select pg_notify($1, p) from unnest($2::text[]) p';
  await pool.query({ name: 'announce', text, values: [RESULTS, payloads] });
}, warn);

const runner = await run({
  preset: {
    worker: {
      connectionString: config.databaseUrl,
      concurrentJobs: CONCURRENT_JOBS,
      maxPoolSize: CONCURRENT_JOBS + 1,
      pollInterval: POLL_MS,
      // No local queue and no batches of completions: they are for jobs without a queue. A fetch takes one job of a named
      // queue, and the next fetch waits for the poll, so that a hot conversation would decide one job in two seconds.
      logger: new Logger(() => (level, message) => {
        if (level === 'error') log.error(message);
      }),
    },
  },
  noHandleSignals: true,
  taskList: {
    [DECIDE]: async (payload) => {
      const { command, request } = payload as Job;
      const outcome = await storeAlone(pool, fromWire(command));
      if (outcome.status === 'accepted') notifier.entry(command.conversation, outcome.seq);
      announce({ request, outcome });
    },
  },
});
await startAdminServer({
  host: config.host,
  port: config.adminPort,
  ready: () => Promise.resolve({ running: true }),
  metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
});
shutDownOnSignals({
  leave: () => undefined,
  delayMs: 0,
  shutdown: async () => {
    await runner.stop();
    process.exit();
  },
  log,
});
