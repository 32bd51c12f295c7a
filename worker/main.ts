import type { Client } from '@temporalio/client';
import { NativeConnection, Runtime, makeTelemetryFilterString } from '@temporalio/worker';
import { Mutex } from 'async-mutex';
import type pg from 'pg';
import { loadConfigOrExit } from '../process/config.ts';
import { logUncaughtErrors } from '../process/uncaught-errors.ts';
import { makeLogger } from '../process/logger.ts';
import { makeDatabaseClock } from '../process/database-clock.ts';
import { type Metrics, makeMetrics } from '../process/metrics.ts';
import { type BuildInfo, readBuildInfo } from '../process/build-info.ts';
import { exitWithParent } from '../process/exit-with-parent.ts';
import { createCleanup } from '../process/cleanup.ts';
import { hostAndPort, listenAddress } from '../process/listen.ts';
import { reasonOf } from '../process/database-problem.ts';
import { processId } from '../process/process-id.ts';
import { askTemporal, isTemporalUp, makeTemporalClient } from '../process/temporal-client.ts';
import { type TemporalServer, temporalServer } from '../process/temporal-server.ts';
import { watchSearchAttributes } from '../process/search-attributes.ts';
import { temporalLogger } from '../process/temporal-logger.ts';
import { startProblem } from '../process/start-problem.ts';
import { startTracing } from '../process/start-tracing.ts';
import { tryUntilDone } from '../process/try-until-done.ts';
import { type ConnectionWatch, watchConnections } from '../store/connection-watch.ts';
import { makeNotifier } from '../store/log/notifications.ts';
import { deciderOf } from '../store/decision/decide.ts';
import { makePool, measurePool } from '../store/pool.ts';
import { makeStatisticsReader } from '../store/statistics/statistics-reader.ts';
import { factsForLists } from '../store/conversation/facts-for-lists.ts';
import { readClock } from '../store/settings.ts';
import { conversationSettings } from '../dispatch/conversation-settings.ts';
import { makeConversationWorkflows } from '../dispatch/conversation-workflows.ts';
import { makeOffBoardingRuns } from '../dispatch/off-boarding-runs.ts';
import { makeSupervisedRuns } from '../dispatch/supervised-runs.ts';
import { startAdminServer } from './admin-server.ts';
import { type ConversationWorker, createWorker, workflowBundle } from './create-worker.ts';
import { watchFailedRuns } from './failed-runs.ts';
import { watchConsistency } from './consistency.ts';
import { startWorkerHeartbeat } from './heartbeat.ts';
import { startRemovalLoop } from './removals.ts';
import { startPush } from './push.ts';
import { runWorker } from './run-worker.ts';
import { consistencySchedule, ensureSchedule, sweepSchedule } from './schedule.ts';
import { hostSupervisor } from './host-supervisor.ts';

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
  const problem = startProblem(error, config);
  log.fatal(problem === undefined ? { err: error } : { problem }, 'worker failed');
  process.exitCode = 1;
} finally {
  await cleanup.run().catch((error: unknown) => log.error({ err: error }, 'shutdown failed'));
}
// A thread of the SDK's native core would keep the process alive.
process.exit();

async function main(): Promise<void> {
  await installRuntime();
  const stopping = stopSignal();
  const bundle = await workflowBundle(config.workflowStackTraces);
  const metrics = makeMetrics();
  const built = await readBuildInfo(config.build);
  metrics.buildInfo(built);
  const connections = await watchConnections(config.database, {
    onChange: (problem) => {
      if (problem === undefined) log.info('the connections to the database can be used again');
      else log.error(problem.message);
    },
  });
  cleanup.add('watch over connections', connections.close);
  const pool = connectPostgres(metrics);
  watchClock(pool, metrics);
  const tracing = await startTracing(config, 'worker');
  if (tracing !== undefined) cleanup.add('tracing', tracing.close);
  const server = await temporalServer(config);
  const client = connectClient(server);
  const running: { now?: RunningWorker } = {};
  const isPolling = (): boolean => running.now?.worker.getState() === 'RUNNING';
  await serveHealthAndMetrics({
    isPolling,
    isLeaving: () => stopping.aborted,
    built,
    pool,
    connections,
    client,
    metrics,
  });
  const heartbeat = startWorkerHeartbeat({
    pool,
    self: { id: processId('worker'), ...built, taskQueue: config.taskQueue, namespace: config.temporalNamespace },
    running: () => running.now,
    log,
  });
  cleanup.add('heartbeat', heartbeat.stop);
  // From now on it takes no new work: others should know at once.
  stopping.addEventListener('abort', () => void heartbeat.stop());
  const { taskQueue } = config;
  const settings = conversationSettings({
    idleMs: config.idleMs,
    continueAfter: config.continueAsNewAfter,
    logLevel: config.logLevel,
  });
  const turns = new Mutex();
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => turns.runExclusive(step);
  const attributes = await watchSearchAttributes(client, log);
  cleanup.add('search attributes', attributes.close);
  const factsOf = (conversation: string): ReturnType<typeof factsForLists> => factsForLists(pool, conversation);
  const workflows = makeConversationWorkflows({ client, taskQueue, attributes, factsOf, settings });
  const supervision = hostSupervisor({
    client,
    connect: () => connectTemporal(client, server),
    inTurn,
    stopping,
    namespace: config.temporalNamespace,
    taskQueue,
    pool,
    runs: makeSupervisedRuns({ client, taskQueue, settings, workflows }),
    ...built,
    metrics,
    log,
  });
  const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
  const push = startPush({ settings: config.push, pool, metrics, log, client, taskQueue });
  cleanup.add('wake-ups', push.stop);
  const create = (connection: NativeConnection): Promise<ConversationWorker> =>
    createWorker({
      connection,
      workflows,
      startOffBoarding: makeOffBoardingRuns(client, taskQueue).startIfGone,
      namespace: config.temporalNamespace,
      taskQueue,
      deployment:
        config.workerDeployment === undefined ? undefined : { name: config.workerDeployment, build: built.build },
      pool,
      notifier,
      metrics,
      tracing,
      log,
      maxCachedWorkflows: config.workerCacheSize,
      taskSlots: config.workerTaskSlots,
      auditPercent: config.consistencyAuditPercent,
      retryPushes: push.retry,
      bundle,
      promiseHook: config.workflowPromiseHook,
    });
  // Temporal may come later than this process. Until then its health says so.
  const created = await tryUntilDone({
    what: 'connection to Temporal',
    step: () => inTurn(() => connectWorker(client, server, create)),
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
  const consistency = watchConsistency(pool, log);
  metrics.consistency(consistency.last);
  cleanup.add('consistency', consistency.close);
  const removals = startRemovalLoop({
    pool,
    senderSecret: config.externalSenderKey,
    maxTreeBytes: config.treeCheckMaxBytes,
    onChanged: (conversation, { lastSeq }) => notifier.entry(conversation, lastSeq, true),
    log,
  });
  metrics.offBoardings(removals.open);
  cleanup.add('removals', removals.close);
  const schedules = [sweepSchedule(config.taskQueue), consistencySchedule(config.taskQueue)].map((schedule) =>
    tryUntilDone({
      what: `schedule ${schedule.scheduleId}`,
      step: () => ensureSchedule(client, schedule),
      log,
      signal: stopping,
    }),
  );
  running.now = created;
  const promiseHook = created.hasPromiseHook ? 'on' : 'off';
  log.info({ taskQueue: config.taskQueue, adminPort: config.adminPort, promiseHook }, 'worker started');
  await runWorker(created.worker, stopping);
  await Promise.all([...schedules, supervision]);
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
async function installRuntime(): Promise<void> {
  const { sdkMetricsPort, host } = config;
  const bindAddress = hostAndPort(await listenAddress(host), sdkMetricsPort);
  const prometheus = { bindAddress, useSecondsForDurations: true };
  Runtime.install({
    logger: temporalLogger(log),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
      ...(sdkMetricsPort === 0 ? {} : { metrics: { prometheus } }),
    },
  });
}

function connectPostgres(metrics: Metrics): pg.Pool {
  const pool = makePool({ ...config.database.main, max: config.databasePoolSize, name: 'parley-worker' });
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
  cleanup.add('pool', () => pool.end());
  // The worker goes on: the server may come later. But whoever has made a mistake should read it.
  pool.query('select').catch((error: unknown) => {
    log.warn({ problem: reasonOf(error, config.databaseUrl) }, 'the database does not answer');
  });
  metrics.pool('worker', measurePool(pool));
  metrics.lockWaits(() => deciderOf(pool).lockWaits);
  metrics.database(
    makeStatisticsReader(pool, (error) => log.warn({ err: error }, 'statistics of the database not read')),
  );
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
function connectClient(server: TemporalServer): Client {
  const { client, connection } = makeTemporalClient({
    ...server,
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
  server: TemporalServer,
  create: (connection: NativeConnection) => Promise<ConversationWorker>,
): Promise<RunningWorker> {
  const connection = await connectTemporal(client, server);
  try {
    const created = await create(connection);
    cleanup.add('connection', () => connection.close());
    return { ...created, connection };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** A worker, and the connection on which it polls. */
type RunningWorker = ConversationWorker & { readonly connection: NativeConnection };

/** Opens a connection on which a worker polls. @throws Error if Temporal does not answer */
async function connectTemporal(client: Client, server: TemporalServer): Promise<NativeConnection> {
  // This call has a time limit. The native connection would wait for a server that accepts it and says nothing.
  await askTemporal(client, CHECK_MS);
  return NativeConnection.connect(server);
}

async function serveHealthAndMetrics(parts: {
  readonly isPolling: () => boolean;
  readonly isLeaving: () => boolean;
  readonly built: BuildInfo;
  readonly pool: pg.Pool;
  readonly connections: ConnectionWatch;
  readonly client: Client;
  readonly metrics: Metrics;
}): Promise<void> {
  const { isPolling, isLeaving, built, pool, connections, client, metrics } = parts;
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    built,
    ready: async () => ({
      polling: isPolling() && !isLeaving(),
      database: await pool.query('select 1').then(
        () => connections.problem() === undefined,
        () => false,
      ),
      temporal: await isTemporalUp(client, CHECK_MS),
    }),
    metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
  });
  cleanup.add('admin server', () => void admin.close());
}
