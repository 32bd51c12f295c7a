import { pino } from 'pino';
import type pg from 'pg';
import type { Submitter } from '../../../dispatch/submission.ts';
import { afterAll, beforeAll } from 'vitest';
import { makeCutOffs } from '../../../api/services/cut-offs.ts';
import { deviceChanged } from '../../../api/services/device-changes.ts';
import { makeSeenDevices } from '../../../api/services/seen-devices.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { listen, makeNotifier } from '../../../store/log/notifications.ts';
import { makeIncarnationWatch } from '../../../store/process/incarnation-watch.ts';
import { makeStreamHub } from '../../../streams/hub.ts';
import {
  type EventStream,
  openAccountStream,
  openEventStream,
  openWithTicket,
} from '../../../tools/harness/event-stream.ts';
import { seqOf } from '../outcomes.ts';
import { type InProcessApi, directSubmitter } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { startApi } from '../api/use-api.ts';
import { type TestDatabase, useDatabase } from '../database.ts';
import { whileTestsRun } from '../while-tests-run.ts';
import { type Talk, makeTalk } from './talk.ts';

/** An API in this process with real streams and notifications; several on one database are replicas. */
export interface Replica {
  readonly service: InProcessApi;
  readonly follow: (user: string, device?: string) => Promise<EventStream>;
  readonly followOne: (
    conversation: string,
    user: string,
    from?: { after?: number | string; lastEventId?: string },
  ) => Promise<EventStream>;
  /** Opens a stream with a ticket, as a page does. @param path of the stream */
  readonly followWith: (ticket: string, path: string, lastEventId?: number) => Promise<EventStream>;
  /** Like the shutdown of the process. */
  readonly closeStreams: () => void;
  readonly closedStreams: (reason: string) => Promise<number>;
  /** Signals that streams went without. */
  readonly droppedSignals: (reason: string) => Promise<number>;
  readonly stop: () => Promise<void>;
}

export interface ReplicaOptions {
  /** It hears no notifications: its streams get their news from the poll. @default false */
  readonly deaf?: boolean;
  /** @default 1000 */
  readonly slowMs?: number;
  /** Streams that a user may have open; 0 = no limit. @default 0 */
  readonly perUser?: number;
}

export async function startReplica(database: TestDatabase, options: ReplicaOptions = {}): Promise<Replica> {
  const { pool } = database;
  const cleanup = createCleanup();
  const log = pino({ level: 'silent' });
  const metrics = makeMetrics({ collectDefaults: false });
  const notifier = makeNotifier(pool, () => undefined);
  const { deaf = false, slowMs = 1000, perUser = 0 } = options;
  const incarnation = makeIncarnationWatch({ pool, log, tell: () => notifier.setting('incarnation') });
  const hub = makeStreamHub({ pool, metrics, log, notifier, incarnation, slowMs, perUser });
  const seen = makeSeenDevices({ pool, log });
  const cutOffs = makeCutOffs(pool);
  cleanup.add('streams', () => {
    hub.close();
    return Promise.resolve();
  });
  if (!deaf) {
    const listener = listen(
      { url: database.url },
      {
        onEntry: hub.wake,
        onSignal: hub.signal,
        onDevice: (device, stream) => {
          if (stream === undefined) void deviceChanged({ cutOffs, seen, streams: hub, log }, device);
          else hub.wakeDevice(device, stream);
        },
        onRead: hub.wakeRead,
        onSetting: () => void incarnation.refresh(),
        onConnect: hub.wakeAll,
        onError: () => undefined,
      },
    );
    cleanup.add('listener', listener.close);
    await waitUntil(listener.connected, { what: 'the replica listens' });
  }
  const service = await startApi(pool, {
    streams: hub,
    notifier,
    ...{ incarnation, seen, cutOffs },
    submitter: notifying(pool, notifier),
  });
  cleanup.add('service', service.close);
  const opened: EventStream[] = [];
  cleanup.add('readers', () => {
    for (const stream of opened) stream.close();
    return Promise.resolve();
  });
  const keep = (stream: EventStream): EventStream => {
    opened.push(stream);
    return stream;
  };
  const count = async (name: string, reason: string): Promise<number> => {
    const text = await metrics.registry.metrics();
    return Number(new RegExp(`^${name}\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  };
  return {
    service,
    follow: async (user, device) => keep(await openAccountStream(service.url, await tokenOf(user, { device }))),
    followOne: async (conversation, user, from = {}) =>
      keep(await openEventStream(service.url, conversation, await tokenOf(user), from)),
    followWith: async (ticket, path, lastEventId) => keep(await openWithTicket(service.url, path, ticket, lastEventId)),
    closeStreams: hub.close,
    closedStreams: (reason) => count('parley_streams_closed_total', reason),
    droppedSignals: (reason) => count('parley_signals_dropped_total', reason),
    stop: () => cleanup.run(),
  };
}

/** Replicas of a test file on one database, started before its first test and stopped after its last. */
export interface Replicas<T> {
  readonly database: () => TestDatabase;
  /** In the order of the options. */
  readonly replicas: { readonly [K in keyof T]: Replica };
  /** Talks to the first replica. */
  readonly talk: Talk;
}

export function useReplicas<const T extends readonly ReplicaOptions[]>(...options: T): Replicas<T> {
  const database = useDatabase();
  let started: readonly Replica[] = [];
  beforeAll(async () => {
    started = await Promise.all(options.map((each) => startReplica(database(), each)));
  });
  afterAll(() => Promise.all(started.map((replica) => replica.stop())));
  const replicas = options.map((_, i) => whileTestsRun<Replica>('the replica', () => started[i]));
  const talk = makeTalk(whileTestsRun<InProcessApi>('the replica', () => started[0]?.service));
  return { database, replicas: replicas as unknown as Replicas<T>['replicas'], talk };
}

/** Notifies after each decision, as the direct executor does. */
function notifying(
  pool: pg.Pool,
  notifier: { entry: (id: string, seq: number, changed?: boolean) => void },
): Submitter {
  const { submit } = directSubmitter(pool);
  return {
    submit: async (submission) => {
      const outcome = await submit(submission);
      const changed = !['message', 'read', 'increment'].includes(submission.command.kind);
      if (outcome.status !== 'refused') notifier.entry(submission.conversation, seqOf(outcome) ?? 0, changed);
      return outcome;
    },
  };
}
