import path from 'node:path';
import { jobsInThisThread } from '../../../compute/jobs.ts';
import { createApp } from '../../../api/app.ts';
import { AutoPath } from '../../../dispatch/auto/auto-path.ts';
import { makeAutoReport } from '../../../dispatch/auto/auto-report.ts';
import { makeAuthenticate } from '../../../api/http/bearer-tokens.ts';
import { makeTokenVerifier } from '../../../api/http/token-verifier.ts';
import { actorsCheck, databaseCheck, memoryCheck, tokensCheck } from '../../../api/services/health-checks.ts';
import { makeConversationWorkflows } from '../../../dispatch/conversation-workflows.ts';
import { makeWorkflowRuns } from '../../../dispatch/workflow-runs.ts';
import type { Submitter } from '../../../dispatch/submission.ts';
import { makePathSwitch } from '../../../dispatch/path-switch.ts';
import { makeSeenDevices } from '../../../api/services/seen-devices.ts';
import { NO_WORKFLOWS } from '../../harness/no-workflows.ts';
import { makeTransfers } from '../../../api/http/transfers.ts';
import { startServer } from '../../../api/http/server.ts';
import { makeStreamHub } from '../../../streams/hub.ts';
import { AppError } from '../../../domain/errors.ts';
import { loadConfig } from '../../../process/config.ts';
import { makeLogger, makeUserHash } from '../../../process/logger.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { shutDownOnSignals } from '../../../process/shutdown.ts';
import { isTemporalUp, makeTemporalClient } from '../../../process/temporal-client.ts';
import { listen, makeNotifier } from '../../../store/log/notifications.ts';
import { makePool } from '../../../store/pool.ts';
import { makeIncarnationWatch } from '../../../store/process/incarnation-watch.ts';
import { DEFAULT_SETTINGS } from '../../../workflows/conversation/messages.ts';
import { makeActorSubmitter } from './actor/submitter.ts';
import { makeGraphileSubmitter } from './graphile-worker/submitter.ts';
import { makeNaiveSubmitter } from './naive/submitter.ts';
import { makePlainSqlSubmitter } from './plain-sql/submitter.ts';
import { makeRestateSubmitter } from './restate/submitter.ts';

// An API process like Parley's, with another submitter for messages and commits: `main.js <contender> [its arguments]`.

/** A health check that takes longer than this has failed. */
const CHECK_MS = 1500;

const config = loadConfig(process.env, 'api');
const log = makeLogger({ level: config.logLevel, name: 'contender' });
const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'contender' });
// Many senders wait for a connection here. In Parley they wait in the conversation queues.
pool.options.connectionTimeoutMillis = config.requestDeadlineMs;
pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
const metrics = makeMetrics();
const { client } = makeTemporalClient({
  address: config.temporalAddress,
  namespace: config.temporalNamespace,
  identity: `contender-${process.pid}`,
});
const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
const incarnation = makeIncarnationWatch({ pool, log });
const streams = makeStreamHub({
  pool,
  incarnation,
  metrics,
  log,
  notifier,
  slowMs: config.streamSlowMs,
  perUser: config.streamsPerUser,
});
listen(config.database.direct, {
  onEntry: streams.wake,
  onSetting: () => undefined,
  onConnect: streams.wakeAll,
  onError: (error) => log.warn({ err: error }, 'notification session failed'),
});
const hashUser = makeUserHash(config.logSalt);
const server = await startServer({
  ...createApp({
    pool,
    log,
    authenticate: makeAuthenticate({
      verifier: await makeTokenVerifier({ source: config.jwt, log }),
      rules: config.tokenRules,
      hashUser,
    }),
    hashUser,
    submitter: await submitterFor(process.argv.slice(2)),
    streams,
    sendSignal: () => Promise.reject(new AppError('internal', 'The contenders take only messages and commits')),
    jobs: jobsInThisThread,
    submitIncrement: () => Promise.reject(new AppError('internal', 'The contenders take only messages and commits')),
    autoReport: makeAutoReport(new AutoPath()),
    supervisor: () => Promise.resolve({ running: false, silentMs: undefined, degraded: false }),
    pathSwitch: await makePathSwitch({ pool, notifier, initial: config.path, log }),
    runConsistencyAudit: () => Promise.reject(new AppError('unavailable')),
    runs: makeWorkflowRuns({
      client,
      workflows: makeConversationWorkflows({ client, taskQueue: config.taskQueue, settings: DEFAULT_SETTINGS }),
      namespace: config.temporalNamespace,
      uiUrl: undefined,
    }),
    ...NO_WORKFLOWS,
    life: { open: () => Promise.resolve() },
    notifier,
    seen: makeSeenDevices({ pool, log }),
    keyPackages: {
      maxLifetimeMs: config.keyPackageMaxLifetimeMs,
      claimsPerMinute: config.rateLimits.claims,
      claimedUsersPerMinute: config.rateLimits.claimedUsers,
    },
    observe: metrics.httpRequest,
    rateLimits: config.rateLimits,
    transfers: makeTransfers({ budget: config.bytesInFlight }),
    push: config.push,
    requestDeadlineMs: config.requestDeadlineMs,
    epochWindow: config.epochWindow,
    voteAfterHours: config.voteAfterHours,
    offBoardingRuns: { startNow: () => Promise.resolve() },
    treeCheckMaxBytes: config.treeCheckMaxBytes,
    trustProxy: config.trustProxy,
    docsFolder: path.join(packageRoot(), 'docs'),
    checks: {
      database: databaseCheck(pool, () => Promise.resolve(true)),
      temporal: async () => ({ status: (await isTemporalUp(client, CHECK_MS)) ? 'healthy' : 'unhealthy' }),
      memory: memoryCheck(),
      tokens: tokensCheck(undefined),
      actors: actorsCheck({ active: () => 0, waiting: () => 0, limit: config.mailboxLimit }),
    },
    version: '0.0.0',
    build: 'bench',
    incarnation,
    isDraining: () => false,
    metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
  }),
  host: config.host,
  port: config.port,
  graceMs: config.shutdownGraceMs,
  log,
  onDraining: () => undefined,
  closeStreams: streams.close,
});
shutDownOnSignals({
  leave: () => undefined,
  delayMs: 0,
  shutdown: async () => {
    await server.shutdown();
    process.exit();
  },
  log,
});

async function submitterFor([name, ...args]: readonly string[]): Promise<Submitter> {
  switch (name) {
    case 'plain-sql':
      return makePlainSqlSubmitter(pool, notifier);
    case 'naive':
      return makeNaiveSubmitter(client, config.taskQueue);
    case 'actor':
      return makeActorSubmitter(pool, notifier);
    case 'graphile-worker':
      return makeGraphileSubmitter(config.databaseUrl, pool);
    case 'restate':
      return makeRestateSubmitter(args[0] ?? '', args[1] ?? '');
    default:
      throw new Error(`There is no contender ${name}`);
  }
}
