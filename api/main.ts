import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { loadConfig } from '../process/config.ts';
import { logUncaught } from '../process/uncaught-errors.ts';
import { makeLogger, makeUserHash } from '../process/logger.ts';
import { makeMetrics } from '../process/metrics.ts';
import { exitWithParent } from '../process/exit-with-parent.ts';
import { createCleanup } from '../process/cleanup.ts';
import { packageRoot } from '../process/package-root.ts';
import { isTemporalUp, makeTemporalClient } from '../process/temporal-client.ts';
import { isMigrated, readSchema } from '../store/migrate.ts';
import { listen, makeNotifier } from '../store/log/notifications.ts';
import { makePool, measurePool } from '../store/pool.ts';
import { makeSettings } from '../workflows/conversation/start.ts';
import { createApp } from './app.ts';
import { makeAuthenticate } from './http/bearer-tokens.ts';
import { actorsCheck, databaseCheck, memoryCheck } from './services/health-checks.ts';
import { makeRuns } from '../dispatch/workflow-runs.ts';
import { makeDirectPath } from '../dispatch/direct-executor.ts';
import { makeIncrementer } from '../dispatch/increments.ts';
import { makePathSwitch } from '../dispatch/path-switch.ts';
import { makeStager } from '../dispatch/stager.ts';
import { makeLanes } from '../dispatch/dispatcher.ts';
import { makeWorkflowPath } from '../dispatch/workflow-executor.ts';
import { makeSeenDevices } from './services/seen-devices.ts';
import { shutDownOnSignals, startServer } from './http/server.ts';
import { makeStreamHub } from '../streams/hub.ts';

/** The API process: everything is wired here. */
const CHECK_MS = 1500;
/** Connections that only stage bytes; they may commit asynchronously. */
const STAGING_CONNECTIONS = 2;

const config = loadConfig(process.env, 'api');
const log = makeLogger({ level: config.logLevel, name: 'api' });
logUncaught(log);
exitWithParent();
const cleanup = createCleanup();
try {
  await main();
} catch (error) {
  log.fatal({ err: error }, 'API failed to start');
  await cleanup.run().catch(() => undefined);
  process.exit(1);
}

async function main(): Promise<void> {
  const metrics = makeMetrics();
  const root = packageRoot();
  const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'parley-api' });
  const staging = makePool({
    url: config.databaseUrl,
    max: STAGING_CONNECTIONS,
    name: 'parley-staging',
    synchronousCommit: false,
  });
  for (const [name, one] of Object.entries({ api: pool, staging })) {
    one.on('error', (error) => log.warn({ err: error, pool: name }, 'idle database connection failed'));
    metrics.pool(name, measurePool(one));
    cleanup.add(`${name} pool`, () => one.end());
  }
  const { client, connection } = makeTemporalClient({
    address: config.temporalAddress,
    namespace: config.temporalNamespace,
    identity: `api-${process.pid}`,
  });
  cleanup.add('Temporal connection', () => connection.close());

  const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
  const paths = await makePathSwitch({ pool, notifier, initial: config.path, log });
  cleanup.add('path switch', paths.close);
  const settings = makeSettings({
    idleMs: config.idleMs,
    continueAfter: config.continueAsNewAfter,
    logLevel: config.logLevel,
  });
  const { taskQueue } = config;
  const onRetry = metrics.laneRetry;
  const direct = makeDirectPath({ pool, notifier, log, onRetry });
  const lanes = makeLanes({
    pathOf: paths.pathOf,
    paths: { direct, workflow: makeWorkflowPath({ client, taskQueue, settings, log, onRetry }) },
    stager: makeStager(staging),
    metrics,
    log,
    mailboxLimit: config.laneMailboxLimit,
  });
  metrics.actorMailboxDepth(lanes.depth);
  const streams = makeStreamHub({
    pool,
    metrics,
    log,
    notifier,
    slowMs: config.streamSlowMs,
    perUser: config.streamsPerUser,
  });
  const seen = makeSeenDevices({ pool, log });
  metrics.openStreams(streams.count);
  const listener = listen(config.databaseUrl, {
    onEntry: streams.wake,
    onDevice: (device, stream) => {
      // It may have been forgotten.
      if (stream === undefined) seen.forget(device);
      streams.wakeDevice(device, stream);
    },
    onSetting: () => void paths.refresh().catch((error: unknown) => log.warn({ err: error }, 'setting not read')),
    onConnect: streams.wakeAll,
    onError: (error) => log.warn({ err: error }, 'notification session failed'),
  });
  cleanup.add('notification session', listener.close);

  let isDraining = false;
  const schema = await readSchema(path.join(root, 'store'));
  const server = await startServer({
    handler: createApp({
      pool,
      log,
      authenticate: await makeAuthenticate({
        source: config.jwt,
        audience: config.jwtAudience,
        hashUser: makeUserHash(config.logSalt),
      }),
      submitter: lanes,
      streams,
      increment: makeIncrementer({ client, taskQueue, settings, pathOf: paths.pathOf, direct }),
      paths,
      runs: makeRuns({ client, taskQueue, settings, namespace: config.temporalNamespace, uiUrl: config.temporalUiUrl }),
      notifier,
      seen,
      keyPackages: { maxLifetimeMs: config.keyPackageMaxLifetimeMs, claimsPerMinute: config.rateLimits.claims },
      observe: metrics.httpRequest,
      rateLimits: config.rateLimits,
      requestDeadlineMs: config.requestDeadlineMs,
      epochWindow: config.epochWindow,
      treeCheckMaxBytes: config.treeCheckMaxBytes,
      trustProxy: config.trustProxy,
      docsFolder: path.join(root, 'docs'),
      checks: {
        database: databaseCheck(pool, () => isMigrated(pool, schema)),
        temporal: async () => {
          if (await isTemporalUp(client, CHECK_MS)) return { status: 'healthy' };
          // Without it the direct path still serves everybody.
          const { path: current, rollout } = paths.get();
          return { status: current === 'direct' && rollout === 100 ? 'degraded' : 'unhealthy' };
        },
        memory: memoryCheck(),
        actors: actorsCheck({ active: lanes.active, waiting: lanes.depth, limit: config.laneMailboxLimit }),
      },
      version: await packageVersion(root),
      isDraining: () => isDraining,
      metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
    }),
    host: config.host,
    port: config.port,
    graceMs: config.shutdownGraceMs,
    log,
    onDraining: () => (isDraining = true),
    closeStreams: streams.close,
  });
  shutDownOnSignals(async (signal) => {
    log.info({ signal }, 'signal received');
    const drained = await server.shutdown();
    await cleanup.run().catch((error: unknown) => log.error({ err: error }, 'shutdown failed'));
    process.exit(drained ? 0 : 1);
  }, log);
  log.info({ url: server.url, path: config.path }, 'API started');
}

async function packageVersion(root: string): Promise<string> {
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { version: string };
  return version;
}
