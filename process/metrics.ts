import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { DatabaseLook } from '../domain/database-look.ts';
import { addDatabaseMetrics } from './database-metrics.ts';

/** Histogram buckets in seconds, from one millisecond to the default deadline of a request. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Histogram buckets for the number of operations in a batch. */
const OPERATIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const ACTOR = { actor_type: 'conversation' } as const;

/** Gauges of the path `auto`, with their help. */
const AUTO_GAUGES = {
  parley_update_budget: 'Workflow updates that may be in flight (the limit of the path auto)',
  parley_updates_in_flight: 'Workflow updates in flight',
  parley_update_baseline_seconds: 'Time of a workflow update without load, as the path auto measured it',
  parley_breaker_open: '1 while Temporal does not answer this process (the breaker of the path auto)',
  parley_wedged_conversations: 'Conversations whose workflow does not answer while others do',
} as const;
export type AutoGauge = keyof typeof AUTO_GAUGES;

/** What an API process knows of the supervisor. */
export interface Supervision {
  /** Since its last sign. */
  readonly silentSeconds: number;
  /** Restarts are stopped for the whole service, or nobody is there to take them. */
  readonly isDegraded: boolean;
  readonly troubles: Readonly<Record<string, number>>;
}

/** What an API process knows of the keys that verify tokens. */
export interface TokenKeys {
  readonly known: number;
  /** Since they were fetched; undefined = never. */
  readonly ageSeconds: number | undefined;
}

/**
 * All metrics of Parley. The API and the worker each serve the metrics of their own process. The first nine metrics
 * have the names of the system that Parley replaces. Labels never contain ids.
 */
export interface Metrics {
  readonly registry: Registry;
  readonly actorSpawns: () => void;
  readonly actorStops: (reason: string) => void;
  readonly actorRestarts: (reason: string) => void;
  readonly actorMailboxDepth: (measure: () => number) => void;
  /** @param measure seconds for which the oldest operation has waited; 0 = none waits */
  readonly oldestOperation: (measure: () => number) => void;
  /** @param measure statements that wait for locks of conversations, and those that wait for their turn to do so */
  readonly lockWaits: (measure: () => { readonly running: number; readonly waiting: number }) => void;
  readonly actorMessageDuration: (messageType: string, seconds: number) => void;
  readonly actorMessageDrop: (reason: string) => void;
  readonly actorMailboxFull: () => void;
  readonly epochIncrement: (seconds: number) => void;
  readonly epochConflict: () => void;
  readonly commitWaitedForReservation: (path: string) => void;
  readonly operation: (kind: string, outcome: string, path: string) => void;
  readonly batch: (path: string, operations: number, seconds: number) => void;
  readonly diversion: (reason: string) => void;
  /** @param measure state of the path `auto`: gauges by name (`AUTO_GAUGES`) */
  readonly autoPath: (measure: () => Readonly<Record<AutoGauge, number>>) => void;
  /** A stored setting that this process does not know. */
  readonly settingIgnored: (setting: string) => void;
  readonly queueWait: (path: string, seconds: number) => void;
  readonly batchRetry: (reason: string) => void;
  readonly httpRequest: (method: string, route: string, status: number, seconds: number) => void;
  /** @param measure seconds that work which comes now would wait before it begins */
  readonly expectedWait: (measure: () => number) => void;
  readonly requestShed: (rateClass: string) => void;
  /** @param measure the keys of the identity provider */
  readonly tokenKeys: (measure: () => TokenKeys) => void;
  readonly tokenKeyFetch: (outcome: 'fetched' | 'failed') => void;
  readonly openStreams: (measure: () => number) => void;
  readonly streamClosed: (reason: string) => void;
  readonly deliveryLag: (seconds: number) => void;
  /** Signals of users of this process went to all processes. */
  readonly signalsSent: (count: number) => void;
  /** @param count signals, each counted for each stream */
  readonly signalsDelivered: (count: number) => void;
  readonly signalsDropped: (reason: 'overload' | 'queue' | 'reader', count: number) => void;
  readonly bytesInFlight: (measure: (direction: 'received' | 'sent') => number) => void;
  readonly transferCut: (direction: string, reason: string) => void;
  readonly pool: (name: string, measure: () => { total: number; idle: number; waiting: number }) => void;
  readonly replicaPage: (source: string) => void;
  /** @param measure whether the read replica is known to follow the primary */
  readonly replicaFollows: (measure: () => boolean) => void;
  /** @param read looks at the database; `undefined` = it does not answer */
  readonly database: (read: () => Promise<DatabaseLook | undefined>) => void;
  readonly swept: (table: string, rows: number) => void;
  /** @param measure runs of conversations that failed within the last hour, over all workers */
  readonly failedRuns: (measure: () => number) => void;
  /** @param measure what the last finished consistency audit says; absent = none has finished yet */
  readonly consistency: (measure: () => { readonly findings: number; readonly checked: number } | undefined) => void;
  /** @param measure off-boardings that are not done, and the age of the oldest */
  readonly offBoardings: (measure: () => { readonly open: number; readonly oldestSeconds: number }) => void;
  /** The supervisor did something. */
  readonly supervisorAction: (action: string, reason: string) => void;
  /** @param measure what this process knows of the supervisor, and of conversations in trouble by sign */
  readonly supervision: (measure: () => Supervision) => void;
  /** @param measure seconds by which the clock of this process is ahead of the database's */
  readonly clockSkew: (measure: () => number) => void;
  /** @param measure workers that work, as they signed in Postgres; undefined = not known */
  readonly workersAlive: (measure: () => number | undefined) => void;
  /** The incarnation of the service, as this process knows it. */
  readonly incarnation: (id: string) => void;
  /** What runs: labels of a gauge that is always 1. */
  readonly buildInfo: (built: { readonly version: string; readonly build: string }) => void;
  readonly job: (name: string, where: 'inline' | 'thread', seconds: number) => void;
  readonly jobWait: (seconds: number) => void;
  readonly jobRefused: (reason: 'full' | 'late' | 'too-long' | 'crashed') => void;
  readonly jobsWaiting: (measure: () => number) => void;
  readonly pushSent: (kind: string) => void;
  /** A try that is repeated. */
  readonly pushFailed: (reason: string) => void;
  /** Wake-ups that are not sent, or not any more. @param count default 1 */
  readonly pushDropped: (reason: string, count?: number) => void;
  /** @param measure seconds for which the oldest wake-up has waited to be sent */
  readonly pushOldest: (measure: () => number) => void;
}

/** @param collectDefaults whether to add the metrics of the Node.js process (CPU, memory, event loop) */
export function makeMetrics({ collectDefaults = true } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (collectDefaults) collectDefaultMetrics({ register: registry });
  addMemoryLimits(registry);
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets = SECONDS): Histogram<L> =>
    new Histogram({ name, help, labelNames, buckets, registers });

  const spawns = counter('actor_spawns_total', 'Conversation workflows started', ['actor_type']);
  const stops = counter('actor_stops_total', 'Conversation workflows completed', ['actor_type', 'reason']);
  const restarts = counter(
    'actor_restarts_total',
    'Conversation workflows restarted: continued as new, rebuilt from history, or replaced by the supervisor',
    ['actor_type', 'reason'],
  );
  new Gauge({
    name: 'actor_mailbox_depth',
    help: 'Operations in this process that wait for a decision',
    labelNames: ['actor_type'],
    registers,
    collect() {
      this.set(
        ACTOR,
        depths.reduce((sum, measure) => sum + measure(), 0),
      );
    },
  });
  const depths: (() => number)[] = [];
  let oldestOperation = (): number => 0;
  new Gauge({
    name: 'parley_oldest_operation_seconds',
    help: 'Time for which the oldest operation in this process has waited for a decision',
    registers,
    collect() {
      this.set(oldestOperation());
    },
  });
  let lockWaits = (): { readonly running: number; readonly waiting: number } => ({ running: 0, waiting: 0 });
  new Gauge({
    name: 'parley_lock_waits',
    help: 'Statements of this process that wait for the lock of a conversation, and those that wait for their turn to do so',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, value] of Object.entries(lockWaits())) this.set({ state }, value);
    },
  });
  const duration = histogram(
    'actor_message_duration_seconds',
    'Time from entry into the conversation queue to the outcome',
    ['actor_type', 'message_type'],
  );
  const drops = counter('actor_message_drops_total', 'Operations that ended without a decision', [
    'actor_type',
    'reason',
  ]);
  const full = counter('actor_mailbox_full_events_total', 'Operations refused because the mailbox was full', [
    'actor_type',
  ]);
  const epochSeconds = histogram(
    'epoch_increment_duration_seconds',
    'Time from entry into the conversation queue to the accepted commit',
    ['actor_type'],
  );
  const conflicts = counter('epoch_conflicts_total', 'Commits refused because another commit ended their epoch first', [
    'actor_type',
  ]);
  const reservationWaits = counter(
    'parley_commits_deferred_total',
    'Commits that waited for the reservation of another user',
    ['path'],
  );

  const operations = counter('parley_operations_total', 'Operations with an outcome', ['kind', 'outcome', 'path']);
  const batchSize = histogram(
    'parley_batch_operations',
    'Operations per batch; one decision applies a batch',
    ['path'],
    OPERATIONS,
  );
  const batchSeconds = histogram('parley_batch_duration_seconds', 'Time from the start of a batch to its outcomes', [
    'path',
  ]);
  const queueWait = histogram(
    'parley_lane_wait_seconds',
    'Time from entry into the conversation queue to the start of the batch',
    ['path'],
  );
  const batchRetries = counter('parley_lane_retries_total', 'Batches that were tried again', ['reason']);
  const diversions = counter('parley_diversions_total', 'Batches that took the direct path instead of the workflow', [
    'reason',
  ]);
  const ignored = counter('parley_settings_ignored_total', 'Stored settings that this process does not know', [
    'setting',
  ]);
  const http = histogram('parley_http_request_duration_seconds', 'Duration of HTTP requests', [
    'method',
    'route',
    'status',
  ]);
  let expectedWait = (): number => 0;
  new Gauge({
    name: 'parley_expected_wait_seconds',
    help: 'Time that work which comes now would wait in this process before it begins',
    registers,
    collect() {
      this.set(expectedWait());
    },
  });
  const shed = counter('parley_requests_shed_total', 'Requests refused because the expected wait was too long', [
    'class',
  ]);
  let tokenKeys = (): TokenKeys => ({ known: 1, ageSeconds: 0 });
  new Gauge({
    name: 'parley_token_keys',
    help: 'Keys that this process knows to verify tokens',
    registers,
    collect() {
      this.set(tokenKeys().known);
    },
  });
  new Gauge({
    name: 'parley_token_keys_age_seconds',
    help: 'Time since the keys were fetched from the identity provider, or since the start if they never were',
    registers,
    collect() {
      this.set(tokenKeys().ageSeconds ?? process.uptime());
    },
  });
  const keyFetches = counter('parley_token_key_fetches_total', 'Fetches of the keys of the identity provider', [
    'outcome',
  ]);
  new Gauge({
    name: 'parley_open_streams',
    help: 'Open event streams in this process',
    registers,
    collect() {
      this.set(streamCounts.reduce((sum, measure) => sum + measure(), 0));
    },
  });
  const streamCounts: (() => number)[] = [];
  const streamClosed = counter('parley_streams_closed_total', 'Event streams that the service closed', ['reason']);
  const lag = histogram(
    'parley_delivery_lag_seconds',
    'Time from the decision about an entry to its write into an open stream',
    [],
  );
  const signalsSent = counter('parley_signals_sent_total', 'Signals that went to all processes', []);
  const signalsDelivered = counter(
    'parley_signals_delivered_total',
    'Signals written to streams, counted for each stream',
    [],
  );
  const signalsDropped = counter(
    'parley_signals_dropped_total',
    'Signals that some streams, or all of this process, went without',
    ['reason'],
  );
  const byteCounts: ((direction: 'received' | 'sent') => number)[] = [];
  new Gauge({
    name: 'parley_bytes_in_flight',
    help: 'Bytes of bodies and answers in the memory of this process',
    labelNames: ['direction'],
    registers,
    collect() {
      for (const direction of ['received', 'sent'] as const) {
        this.set(
          { direction },
          byteCounts.reduce((sum, measure) => sum + measure(direction), 0),
        );
      }
    },
  });
  const cuts = counter('parley_transfers_cut_total', 'Bodies and answers that were cut because they were the slowest', [
    'direction',
    'reason',
  ]);
  const pools = new Map<string, () => { total: number; idle: number; waiting: number }>();
  new Gauge({
    name: 'parley_pool_connections',
    help: 'PostgreSQL connections of this process',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, measure] of pools) {
        for (const [state, value] of Object.entries(measure())) this.set({ pool, state }, value);
      }
    },
  });
  let skew = (): number => 0;
  new Gauge({
    name: 'parley_clock_skew_seconds',
    help: "Seconds by which the clock of this process is ahead of the database's",
    registers,
    collect() {
      this.set(skew());
    },
  });
  let workersAlive = (): number | undefined => undefined;
  new Gauge({
    name: 'parley_workers_alive',
    help: 'Workers that work, by their signs in PostgreSQL of the last 2.5 seconds, as this API process sees them',
    registers,
    collect() {
      const workers = workersAlive();
      // Nobody knows, for example in a worker. No value is better than a wrong one.
      if (workers === undefined) this.remove();
      else this.set(workers);
    },
  });
  const buildInfo = new Gauge({
    name: 'parley_build_info',
    help: 'What runs: always 1',
    labelNames: ['version', 'build', 'node'],
    registers,
  });
  const incarnationInfo = new Gauge({
    name: 'parley_incarnation_info',
    help: 'Which branch of its history the database is on, as this API process knows it: always 1',
    labelNames: ['incarnation'],
    registers,
  });
  const replicaPages = counter(
    'parley_replica_pages_total',
    'Pages of the log by who served them, where there is a read replica',
    ['source'],
  );
  const swept = counter('parley_swept_rows_total', 'Rows that the sweep deleted', ['table']);
  let failedRuns = (): number => 0;
  new Gauge({
    name: 'parley_workflow_runs_failed',
    help: 'Runs of conversations that failed within the last hour, over all workers',
    registers,
    collect() {
      this.set(failedRuns());
    },
  });
  let consistency = (): { readonly findings: number; readonly checked: number } | undefined => undefined;
  new Gauge({
    name: 'parley_consistency_findings',
    help: 'Findings of the last finished consistency audit',
    registers,
    collect() {
      this.set(consistency()?.findings ?? 0);
    },
  });
  new Gauge({
    name: 'parley_consistency_checked_conversations',
    help: 'Conversations that the last finished consistency audit has read',
    registers,
    collect() {
      this.set(consistency()?.checked ?? 0);
    },
  });
  let offBoardings = (): { readonly open: number; readonly oldestSeconds: number } => ({ open: 0, oldestSeconds: 0 });
  new Gauge({
    name: 'parley_off_boardings_open',
    help: 'Off-boardings that are not done: some group still has a leaf',
    registers,
    collect() {
      this.set(offBoardings().open);
    },
  });
  new Gauge({
    name: 'parley_off_boardings_oldest_seconds',
    help: 'Age of the oldest off-boarding that is not done; 0 = there is none',
    registers,
    collect() {
      this.set(offBoardings().oldestSeconds);
    },
  });
  const supervisorActions = counter(
    'parley_supervisor_actions_total',
    'What the supervisor did: count (healed itself), restart, report (cannot be mended), give-up, stop-bucket, degrade',
    ['action', 'reason'],
  );
  const supervise = (measure: () => Supervision): void => {
    new Gauge({
      name: 'parley_supervisor_silent_seconds',
      help: 'Time since the supervisor signed that it lives',
      registers,
      collect() {
        this.set(measure().silentSeconds);
      },
    });
    new Gauge({
      name: 'parley_supervisor_degraded',
      help: '1 while the supervisor restarts nothing: restarts did not help, or Postgres or all workers are away',
      registers,
      collect() {
        this.set(measure().isDegraded ? 1 : 0);
      },
    });
    new Gauge({
      name: 'parley_conversations_in_trouble',
      help: 'Conversations with a sign of trouble within the last minute, over all processes',
      labelNames: ['sign'],
      registers,
      collect() {
        for (const [sign, count] of Object.entries(measure().troubles)) this.set({ sign }, count);
      },
    });
  };
  const jobSeconds = histogram('parley_job_duration_seconds', 'Duration of jobs: checks that need much CPU time', [
    'job',
    'where',
  ]);
  const jobWait = histogram('parley_job_wait_seconds', 'Time that a job waited for a thread', []);
  const jobsRefused = counter('parley_jobs_refused_total', 'Jobs that did not run to their end', ['reason']);
  const jobQueues: (() => number)[] = [];
  new Gauge({
    name: 'parley_jobs_waiting',
    help: 'Jobs that wait for a thread',
    registers,
    collect() {
      this.set(jobQueues.reduce((sum, measure) => sum + measure(), 0));
    },
  });

  const pushSent = counter('parley_push_sent_total', 'Wake-ups that a push service or the gateway took', ['kind']);
  const pushFailed = counter('parley_push_failed_total', 'Tries to send a wake-up that are repeated later', ['reason']);
  const pushDropped = counter(
    'parley_push_dropped_total',
    'Wake-ups that were not needed (acknowledged, muted), or that are given up (gone, refused, expired)',
    ['reason'],
  );
  let pushOldest = (): number => 0;
  new Gauge({
    name: 'parley_push_oldest_seconds',
    help: 'Time for which the oldest wake-up has waited to be sent, over all workers',
    registers,
    collect() {
      this.set(pushOldest());
    },
  });

  return {
    registry,
    actorSpawns: () => spawns.inc(ACTOR),
    actorStops: (reason) => stops.inc({ ...ACTOR, reason }),
    actorRestarts: (reason) => restarts.inc({ ...ACTOR, reason }),
    actorMailboxDepth: (measure) => void depths.push(measure),
    oldestOperation: (measure) => void (oldestOperation = measure),
    lockWaits: (measure) => void (lockWaits = measure),
    actorMessageDuration: (message_type, seconds) => duration.observe({ ...ACTOR, message_type }, seconds),
    actorMessageDrop: (reason) => drops.inc({ ...ACTOR, reason }),
    actorMailboxFull: () => full.inc(ACTOR),
    epochIncrement: (seconds) => epochSeconds.observe(ACTOR, seconds),
    epochConflict: () => conflicts.inc(ACTOR),
    commitWaitedForReservation: (path) => reservationWaits.inc({ path }),
    operation: (kind, outcome, path) => operations.inc({ kind, outcome, path }),
    batch: (path, count, seconds) => {
      batchSize.observe({ path }, count);
      batchSeconds.observe({ path }, seconds);
    },
    diversion: (reason) => diversions.inc({ reason }),
    autoPath: (measure) => {
      for (const name of Object.keys(AUTO_GAUGES) as AutoGauge[]) {
        new Gauge({
          name,
          help: AUTO_GAUGES[name],
          registers,
          collect() {
            this.set(measure()[name]);
          },
        });
      }
    },
    settingIgnored: (setting) => ignored.inc({ setting }),
    queueWait: (path, seconds) => queueWait.observe({ path }, seconds),
    batchRetry: (reason) => batchRetries.inc({ reason }),
    httpRequest: (method, route, status, seconds) => http.observe({ method, route, status: String(status) }, seconds),
    expectedWait: (measure) => void (expectedWait = measure),
    requestShed: (rateClass) => shed.inc({ class: rateClass }),
    tokenKeys: (measure) => void (tokenKeys = measure),
    tokenKeyFetch: (outcome) => keyFetches.inc({ outcome }),
    openStreams: (measure) => void streamCounts.push(measure),
    streamClosed: (reason) => streamClosed.inc({ reason }),
    deliveryLag: (seconds) => lag.observe(seconds),
    signalsSent: (count) => signalsSent.inc(count),
    signalsDelivered: (count) => signalsDelivered.inc(count),
    signalsDropped: (reason, count) => signalsDropped.inc({ reason }, count),
    bytesInFlight: (measure) => void byteCounts.push(measure),
    transferCut: (direction, reason) => cuts.inc({ direction, reason }),
    pool: (name, measure) => void pools.set(name, measure),
    replicaPage: (source) => replicaPages.inc({ source }),
    replicaFollows: (measure) => {
      new Gauge({
        name: 'parley_replica_follows',
        help: '1 while the read replica is known to follow the primary',
        registers,
        collect() {
          this.set(measure() ? 1 : 0);
        },
      });
    },
    database: (read) => addDatabaseMetrics(registry, read),
    swept: (table, rows) => swept.inc({ table }, rows),
    failedRuns: (measure) => void (failedRuns = measure),
    consistency: (measure) => void (consistency = measure),
    offBoardings: (measure) => void (offBoardings = measure),
    supervisorAction: (action, reason) => supervisorActions.inc({ action, reason }),
    supervision: supervise,
    clockSkew: (measure) => void (skew = measure),
    workersAlive: (measure) => void (workersAlive = measure),
    incarnation: (incarnation) => {
      incarnationInfo.reset();
      incarnationInfo.set({ incarnation }, 1);
    },
    buildInfo: ({ version, build }) => buildInfo.set({ version, build, node: process.version }, 1),
    job: (job, where, seconds) => jobSeconds.observe({ job, where }, seconds),
    jobWait: (seconds) => jobWait.observe(seconds),
    jobRefused: (reason) => jobsRefused.inc({ reason }),
    jobsWaiting: (measure) => void jobQueues.push(measure),
    pushSent: (kind) => pushSent.inc({ kind }),
    pushFailed: (reason) => pushFailed.inc({ reason }),
    pushDropped: (reason, count = 1) => pushDropped.inc({ reason }, count),
    pushOldest: (measure) => void (pushOldest = measure),
  };
}

/** What the memory of the process is compared with. */
function addMemoryLimits(registry: Registry): void {
  const registers = [registry];
  // 0, or more than the machine has: the process is not limited.
  const limit = process.constrainedMemory();
  const memory = limit === 0 ? totalmem() : Math.min(limit, totalmem());
  new Gauge({
    name: 'parley_memory_limit_bytes',
    help: 'Memory that the process may use: that of its container, or of the machine',
    registers,
  }).set(memory);
  new Gauge({
    name: 'parley_heap_limit_bytes',
    help: 'Memory that JavaScript objects of the process may use',
    registers,
  }).set(getHeapStatistics().heap_size_limit);
}
