import { pino } from 'pino';
import type pg from 'pg';
import type { Submitter } from '../../../dispatch/submission.ts';
import { makeSeenDevices } from '../../../api/services/seen-devices.ts';
import { makeStreamHub } from '../../../streams/hub.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { listen, makeNotifier } from '../../../store/log/notifications.ts';
import { type Service, directSubmitter, startService, tokenOf } from '../api/service.ts';
import type { TestDatabase } from '../database.ts';
import { type EventStream, openAccountStream, openEventStream } from '../../../tools/harness/event-stream.ts';
import { seqOf } from '../outcomes.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

/** An API process in this one, with real streams and notifications; several on one database are replicas. */
export interface Replica {
  readonly service: Service;
  readonly follow: (user: string, device?: string) => Promise<EventStream>;
  readonly followOne: (
    conversation: string,
    user: string,
    from?: { after?: number | 'latest' },
  ) => Promise<EventStream>;
  /** Like the shutdown of the process. */
  readonly closeStreams: () => void;
  readonly closedStreams: (reason: string) => Promise<number>;
  readonly stop: () => Promise<void>;
}

/** @param options.deaf it hears no notifications: its streams live on the poll */
export async function startReplica(
  database: TestDatabase,
  options: { readonly deaf?: boolean; readonly slowMs?: number; readonly perUser?: number } = {},
): Promise<Replica> {
  const { pool } = database;
  const cleanup = createCleanup();
  const log = pino({ level: 'silent' });
  const metrics = makeMetrics({ collectDefaults: false });
  const notifier = makeNotifier(pool, () => undefined);
  const { deaf = false, slowMs = 1000, perUser = 0 } = options;
  const hub = makeStreamHub({ pool, metrics, log, notifier, slowMs, perUser });
  const seen = makeSeenDevices({ pool, log });
  cleanup.add('streams', () => {
    hub.close();
    return Promise.resolve();
  });
  if (!deaf) {
    const listener = listen(database.url, {
      onEntry: hub.wake,
      onDevice: (device, stream) => {
        if (stream === undefined) seen.forget(device);
        hub.wakeDevice(device, stream);
      },
      onSetting: () => undefined,
      onConnect: hub.wakeAll,
      onError: () => undefined,
    });
    cleanup.add('listener', listener.close);
    await waitUntil(listener.connected, { what: 'the replica listens' });
  }
  const service = await startService(pool, { streams: hub, notifier, seen, submitter: notifying(pool, notifier) });
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
  return {
    service,
    follow: async (user, device) => keep(await openAccountStream(service.url, await tokenOf(user, claims(device)))),
    followOne: async (conversation, user, from = {}) =>
      keep(await openEventStream(service.url, conversation, await tokenOf(user), from)),
    closeStreams: hub.close,
    closedStreams: async (reason) => {
      const text = await metrics.registry.metrics();
      return Number(
        new RegExp(`^parley_streams_closed_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0,
      );
    },
    stop: () => cleanup.run(),
  };
}

export function claims(device: string | undefined): Record<string, unknown> {
  return device === undefined ? {} : { device };
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
