import path from 'node:path';
import { readBuildInfo } from '../process/build-info.ts';
import { loadConfigOrExit } from '../process/config.ts';
import { logUncaughtErrors } from '../process/uncaught-errors.ts';
import { makeLogger, makeUserHash } from '../process/logger.ts';
import { makeDatabaseClock } from '../process/database-clock.ts';
import { makeMetrics } from '../process/metrics.ts';
import { exitWithParent } from '../process/exit-with-parent.ts';
import { createCleanup } from '../process/cleanup.ts';
import { packageRoot } from '../process/package-root.ts';
import { processId } from '../process/process-id.ts';
import { ProgressOfRequests } from '../process/progress.ts';
import { shutDownOnSignals } from '../process/shutdown.ts';
import { startProblem } from '../process/start-problem.ts';
import { startTracing } from '../process/start-tracing.ts';
import { watchSearchAttributes } from '../process/search-attributes.ts';
import { makeTemporalClient } from '../process/temporal-client.ts';
import { temporalServer } from '../process/temporal-server.ts';
import { watchConnections } from '../store/connection-watch.ts';
import { factsForLists } from '../store/conversation/facts-for-lists.ts';
import { isMigrated, readSchema } from '../store/migrate.ts';
import { deciderOf } from '../store/decision/decide.ts';
import { lockedAmong } from '../store/decision/locked.ts';
import { listen, makeNotifier } from '../store/log/notifications.ts';
import { lookRegularly, makeIncarnationWatch } from '../store/process/incarnation-watch.ts';
import { shareOut } from '../store/pool-share.ts';
import { makePool, measurePool } from '../store/pool.ts';
import { makeReadPage } from '../store/replica/replica-pages.ts';
import { openReplica } from '../store/replica/replica.ts';
import { makeStatisticsReader } from '../store/statistics/statistics-reader.ts';
import { reportTroubles } from '../store/trouble/troubles.ts';
import { makeJobPool } from '../compute/pool.ts';
import { createApp } from './app.ts';
import { makeAuthenticate } from './http/bearer-tokens.ts';
import { makeTokenVerifier } from './http/token-verifier.ts';
import { watchFleet } from './services/fleet.ts';
import { actorsCheck, databaseCheck, memoryCheck, tokensCheck } from './services/health-checks.ts';
import { watchSupervisor } from './services/supervisor-watch.ts';
import { temporalCheck } from './services/temporal-check.ts';
import { AutoPath } from '../dispatch/auto/auto-path.ts';
import { makeAutoReport } from '../dispatch/auto/auto-report.ts';
import { measureLoopDelay } from '../dispatch/auto/loop-delay.ts';
import { makeProbe } from '../dispatch/auto/probe.ts';
import { watchTemporal } from '../dispatch/auto/temporal-watch.ts';
import { conversationSettings } from '../dispatch/conversation-settings.ts';
import { makeConversationWorkflows } from '../dispatch/conversation-workflows.ts';
import { makeDirectExecutor } from '../dispatch/direct-executor.ts';
import { makeDispatcher } from '../dispatch/dispatcher.ts';
import { makeSubmitIncrement } from '../dispatch/increments.ts';
import { OperationWatch } from '../dispatch/operation-watch.ts';
import { makePathSwitch } from '../dispatch/path-switch.ts';
import { makeRunningWorkflows } from '../dispatch/running-workflows.ts';
import { makeStager } from '../dispatch/stager.ts';
import { makeTroubleReports } from '../dispatch/trouble-reports.ts';
import { makeWorkflowExecutor } from '../dispatch/workflow-executor.ts';
import { makeRunConsistencyAudit } from '../dispatch/consistency-audits.ts';
import { makeOffBoardingRuns } from '../dispatch/off-boarding-runs.ts';
import { makeWorkflowInspection } from '../dispatch/workflow-inspection.ts';
import { makeWorkflowRuns } from '../dispatch/workflow-runs.ts';
import { makeCutOffs, watchCutOffs } from './services/cut-offs.ts';
import { deviceChanged } from './services/device-changes.ts';
import { measureExpectedWait } from './services/expected-wait.ts';
import { makeProcessFacts } from './services/process-facts.ts';
import { makeAdmitToLife } from './services/admit-to-life.ts';
import { makeLifeSources } from './services/life-sources.ts';
import { makeSeenDevices } from './services/seen-devices.ts';
import { makeSendSignal } from './services/send-signal.ts';
import { LoadShedder } from './http/load-shedder.ts';
import { startServer } from './http/server.ts';
import { makeTransfers } from './http/transfers.ts';
import { makeStreamHub } from '../streams/hub.ts';
import { makeLifeStreams } from '../streams/life/life-streams.ts';

// The API process. This file creates all parts and connects them.

/** Pause between looks for transfers that stand still. */
const TRANSFER_CHECK_MS = 1000;
/** Connections that only stage bytes. They commit asynchronously: bytes that a crash loses are sent again. */
const STAGING_CONNECTIONS = 2;

const RESTORES_UNSEEN =
  'the role of the service may not read pg_control_system(): after a restore of the database, run `parley restored`';

const config = loadConfigOrExit(process.env, 'api');
const log = makeLogger({ level: config.logLevel, name: 'api' });
logUncaughtErrors(log);
exitWithParent();
const cleanup = createCleanup();
try {
  await main();
} catch (error) {
  const problem = startProblem(error, config);
  log.fatal(problem === undefined ? { err: error } : { problem }, 'API failed to start');
  await cleanup.run().catch(() => undefined);
  process.exit(1);
}

async function main(): Promise<void> {
  const metrics = makeMetrics();
  const tracing = await startTracing(config, 'api');
  if (tracing !== undefined) cleanup.add('tracing', tracing.close);
  const progress = new ProgressOfRequests();
  const root = packageRoot();
  const built = await readBuildInfo(config.build);
  metrics.buildInfo(built);
  const connections = await watchConnections(config.database, {
    onChange: (problem) => {
      if (problem === undefined) log.info('the connections to the database can be used again');
      else log.error(problem.message);
    },
  });
  cleanup.add('watch over connections', connections.close);
  const pool = makePool({ ...config.database.main, max: config.databasePoolSize, name: 'parley-api' });
  const staging = makePool({
    ...config.database.main,
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
    ...(await temporalServer(config)),
    namespace: config.temporalNamespace,
    identity: `api-${process.pid}`,
  });
  // Requests and decisions. What serves all users at once takes its connections from the pool itself.
  const shared = shareOut(pool);
  const decider = deciderOf(shared);
  cleanup.add('Temporal connection', () => connection.close());

  const transfers = makeTransfers({ budget: config.bytesInFlight, onCut: metrics.transferCut });
  metrics.bytesInFlight(transfers.held);
  const transferTimer = setInterval(transfers.check, TRANSFER_CHECK_MS);
  cleanup.add('check of transfers', () => clearInterval(transferTimer));

  const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
  const clock = makeDatabaseClock({ log });
  metrics.clockSkew(() => clock.skewMs() / 1000);
  let look = (): void => undefined;
  const pathSwitch = await makePathSwitch({
    pool,
    notifier,
    initial: config.path,
    clock,
    log,
    onUnknown: () => metrics.settingIgnored('path'),
    onChange: () => look(),
  });
  cleanup.add('path switch', pathSwitch.close);
  const settings = conversationSettings({
    idleMs: config.idleMs,
    continueAfter: config.continueAsNewAfter,
    logLevel: config.logLevel,
  });
  const attributes = await watchSearchAttributes(client, log);
  cleanup.add('search attributes', attributes.close);
  const workflows = makeConversationWorkflows({
    client,
    taskQueue: config.taskQueue,
    settings,
    attributes,
    factsOf: (conversation) => factsForLists(pool, conversation),
    modeOf: pathSwitch.pathOf,
  });
  const troubles = makeTroubleReports({ store: (reports) => reportTroubles(pool, reports), log });
  cleanup.add('reports of trouble', troubles.close);
  const onTrouble = troubles.report;
  const onRetry = metrics.batchRetry;
  const direct = makeDirectExecutor({ pool: shared, notifier, log, onRetry, tracing });
  const auto = new AutoPath();
  const operations = new OperationWatch();
  const dispatcher = makeDispatcher({
    pathOf: pathSwitch.pathOf,
    auto,
    isRunning: workflows.isRunning,
    executors: {
      direct,
      workflow: makeWorkflowExecutor({ workflows, log, onRetry, onTrouble, onUnavailable: () => watch.unavailable() }),
    },
    stager: makeStager(staging),
    metrics,
    log,
    progress,
    operations,
    tracing,
    clock,
    mailboxLimit: config.mailboxLimit,
    onTrouble,
  });
  ({ look } = dispatcher);
  metrics.actorMailboxDepth(dispatcher.depth);
  metrics.oldestOperation(() => dispatcher.oldestMs() / 1000);
  metrics.lockWaits(() => decider.lockWaits);
  metrics.database(
    makeStatisticsReader(pool, (error) => log.warn({ err: error }, 'statistics of the database not read')),
  );
  const shedder = new LoadShedder();
  const expectedWait = measureExpectedWait({
    pool,
    queues: () => decider.expectedWaitMs,
    onSample: (waitMs) => shedder.sample(waitMs),
  });
  metrics.expectedWait(() => expectedWait.ms() / 1000);
  cleanup.add('measurement of the expected wait', expectedWait.close);
  const loopDelay = measureLoopDelay();
  cleanup.add('event loop measurement', loopDelay.close);
  const watch = watchTemporal({
    auto,
    probe: makeProbe({ client, taskQueue: config.taskQueue, settings }),
    locked: (conversations) => lockedAmong(pool, conversations),
    loopDelayMs: loopDelay.ms,
    look: dispatcher.look,
    onTrouble,
    log,
  });
  cleanup.add('watch over Temporal', watch.close);
  metrics.autoPath(() => ({
    parley_update_budget: auto.budget.limit,
    parley_updates_in_flight: auto.budget.inFlight,
    parley_update_baseline_seconds: (auto.budget.baselineMs ?? 0) / 1000,
    parley_breaker_open: auto.breaker.isOpen ? 1 : 0,
    parley_wedged_conversations: auto.wedged.list().length,
  }));
  const supervision = watchSupervisor({ pool, taskQueue: config.taskQueue, log });
  cleanup.add('watch over the supervisor', supervision.close);
  metrics.supervision(supervision.measure);
  const cutOffs = makeCutOffs(pool);
  await cutOffs.look();
  cleanup.add('watch over cut-offs', watchCutOffs(cutOffs, log));
  const incarnation = makeIncarnationWatch({ pool, log, tell: () => notifier.setting('incarnation') });
  incarnation.onChange(metrics.incarnation);
  await incarnation.refresh().catch((error: unknown) => log.warn({ err: error }, 'the incarnation was not read'));
  if (!incarnation.canNotice()) log.warn(RESTORES_UNSEEN);
  cleanup.add('watch over the incarnation', lookRegularly(incarnation, log));
  const streams = makeStreamHub({
    pool,
    incarnation,
    metrics,
    log,
    clock,
    notifier,
    slowMs: config.streamSlowMs,
    perUser: config.streamsPerUser,
    isOverloaded: () => shedder.isOverloaded,
  });
  const { admit, forgetAll } = makeAdmitToLife(pool);
  // The audit trail of a restored database does not have what was noted since.
  incarnation.onChange(forgetAll);
  const life = makeLifeStreams({
    admit,
    sourcesOf: makeLifeSources({
      pool,
      client,
      uiUrl: config.temporalUiUrl,
      auto,
      dispatcher,
      pathSwitch,
      incarnation,
    }),
    watchOperations: (conversation, listener) => operations.watch(conversation, listener),
    clock,
    slowMs: config.streamSlowMs,
    onClosed: metrics.streamClosed,
    onError: (conversation, error) =>
      log.warn({ err: error, conversation }, 'facts about a conversation cannot be read'),
  });
  const jobs = makeJobPool({ threads: config.jobThreads, maxWaitMs: config.requestDeadlineMs, log, metrics });
  cleanup.add('job threads', jobs.close);
  await jobs.start();
  const seen = makeSeenDevices({ pool, log });
  metrics.openStreams(streams.count);
  metrics.openStreams(life.count);
  const lookAtIncarnation = (): void => void incarnation.refresh().catch(() => undefined);
  const listener = listen(config.database.direct, {
    onEntry: (conversation, seq, changed) => {
      streams.wake(conversation, seq, changed);
      life.wake(conversation);
    },
    onSignal: streams.signal,
    onDevice: (device, stream) => {
      if (stream === undefined) void deviceChanged({ cutOffs, seen, streams, log }, device);
      else streams.wakeDevice(device, stream);
    },
    onRead: streams.wakeRead,
    onSetting: () => {
      void pathSwitch.refresh().catch((error: unknown) => log.warn({ err: error }, 'path setting not read'));
      lookAtIncarnation();
    },
    onConnect: () => {
      // The session was lost, perhaps because another server took over.
      lookAtIncarnation();
      streams.wakeAll();
    },
    onError: (error) => log.warn({ err: error }, 'notification session failed'),
  });
  cleanup.add('notification session', listener.close);

  const autoReport = makeAutoReport(auto);
  const facts = makeProcessFacts({ dispatcher, streams, pathSwitch, autoReport, clockSkewMs: clock.skewMs });
  let isDraining = false;
  const id = processId('api');
  const fleet = await watchFleet({
    pool,
    self: { id, ...built, taskQueue: config.taskQueue, namespace: config.temporalNamespace },
    facts: () => ({ ...facts(), breakerOpen: auto.breaker.isOpen, leaving: isDraining }),
    log,
  });
  cleanup.add('heartbeat', fleet.close);
  metrics.workersAlive(() => fleet.workers()?.working);

  const replica =
    config.database.replica === undefined
      ? undefined
      : openReplica({
          primary: pool,
          server: config.database.replica,
          max: config.databasePoolSize,
          processId: id,
          onChange: (follows, why) => {
            if (follows) log.info('the read replica follows');
            else log.warn({ err: why }, 'the read replica is not used: it does not follow the primary');
          },
        });
  if (replica !== undefined) {
    cleanup.add('replica', replica.close);
    metrics.replicaFollows(replica.follows);
    metrics.pool('replica', measurePool(replica.pool));
  }

  const verifier = await makeTokenVerifier({ source: config.jwt, log, onFetch: metrics.tokenKeyFetch });
  cleanup.add('keys of tokens', verifier.close);
  if (verifier.keyState !== undefined) metrics.tokenKeys(verifier.keyState);

  const schema = await readSchema(path.join(root, 'store'));
  const hashUser = makeUserHash(config.logSalt);
  const server = await startServer({
    ...createApp({
      pool: shared,
      readPage: makeReadPage(shared, replica, metrics.replicaPage),
      log,
      authenticate: makeAuthenticate({
        verifier,
        rules: config.tokenRules,
        hashUser,
        now: clock.now,
      }),
      hashUser,
      submitter: dispatcher,
      autoReport,
      supervisor: supervision.look,
      streams,
      life,
      sendSignal: makeSendSignal({ pool, metrics }),
      submitIncrement: makeSubmitIncrement({
        pool: shared,
        workflows,
        pathOf: (conversation) => auto.pathNow(pathSwitch.pathOf(conversation), conversation),
        direct,
        operations,
        modeOf: pathSwitch.pathOf,
        onRetry,
        log,
      }),
      pathSwitch,
      cutOffs,
      offBoardingRuns: makeOffBoardingRuns(client, config.taskQueue),
      externalSenderKey: config.externalSenderKey,
      runConsistencyAudit: makeRunConsistencyAudit(client, config.taskQueue),
      runs: makeWorkflowRuns({ client, workflows, namespace: config.temporalNamespace, uiUrl: config.temporalUiUrl }),
      inspection: makeWorkflowInspection(client),
      running: makeRunningWorkflows(client, config.taskQueue),
      own: {
        pathOf: pathSwitch.pathOf,
        loadOf: dispatcher.loadOf,
        failuresOf: (conversation) => dispatcher.failures.of(conversation),
        streamsOf: streams.countOf,
        facts,
      },
      notifier,
      seen,
      keyPackages: {
        maxLifetimeMs: config.keyPackageMaxLifetimeMs,
        claimsPerMinute: config.rateLimits.claims,
        claimedUsersPerMinute: config.rateLimits.claimedUsers,
        now: clock.now,
      },
      jobs,
      observe: metrics.httpRequest,
      progress,
      modeOf: pathSwitch.pathOf,
      tracing,
      rateLimits: config.rateLimits,
      transfers,
      loadShedding: { shedder, onShed: metrics.requestShed },
      push: config.push,
      requestDeadlineMs: config.requestDeadlineMs,
      epochWindow: config.epochWindow,
      voteAfterHours: config.voteAfterHours,
      treeCheckMaxBytes: config.treeCheckMaxBytes,
      trustProxy: config.trustProxy,
      corsOrigins: config.corsOrigins,
      docsFolder: path.join(root, 'docs'),
      webApp:
        config.webApp === undefined
          ? undefined
          : {
              folder: path.join(root, 'dist', 'web'),
              config: { control: config.webApp.control },
            },
      checks: {
        database: databaseCheck(pool, () => isMigrated(pool, schema), connections.problem),
        temporal: temporalCheck({
          client,
          taskQueue: config.taskQueue,
          workers: fleet.workers,
          setting: pathSwitch.get,
          log,
        }),
        memory: memoryCheck(),
        tokens: tokensCheck(verifier.keyState),
        actors: actorsCheck({ active: dispatcher.active, waiting: dispatcher.depth, limit: config.mailboxLimit }),
      },
      ...built,
      incarnation,
      isDraining: () => isDraining,
      metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
    }),
    host: config.host,
    port: config.port,
    maxHeaderBytes: config.maxHeaderBytes,
    corsOrigins: config.corsOrigins,
    graceMs: config.shutdownGraceMs,
    log,
    onDraining: () => (isDraining = true),
    closeStreams: () => {
      streams.close();
      life.close();
    },
  });
  shutDownOnSignals({
    leave: () => (isDraining = true),
    delayMs: config.shutdownDelayMs,
    shutdown: async () => {
      const drained = await server.shutdown();
      await cleanup.run().catch((error: unknown) => log.error({ err: error }, 'shutdown failed'));
      process.exit(drained ? 0 : 1);
    },
    log,
  });
  log.info({ url: server.url, path: config.path, ...built }, 'API started');
}
