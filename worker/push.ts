import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type pg from 'pg';
import { ensurePushRetries } from '../dispatch/push-retries.ts';
import type { Metrics } from '../process/metrics.ts';
import type { PushSettings } from '../process/push-settings.ts';
import { startPushDispatcher } from '../push/dispatcher.ts';
import { makePushSender } from '../push/sender.ts';
import { type Failing, readFailing, takeDueWakes } from '../store/push/deliveries.ts';

/** Failing targets of one step of the workflow. */
const RETRIES = 100;

/** The wake-ups of this process. */
export interface Push {
  /** Sends again what is due to failing targets. */
  readonly retry: () => Promise<Failing>;
  readonly stop: () => Promise<void>;
}

/**
 * Starts to wake devices, if the configuration says how. It needs Postgres only: while Temporal is away, just the targets that fail
 * wait for their next try.
 */
export function startPush(deps: {
  readonly settings: PushSettings;
  readonly pool: pg.Pool;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly client: Client;
  readonly taskQueue: string;
}): Push {
  const { settings, pool, client, taskQueue, log } = deps;
  if (settings.webPush === undefined && settings.gateway === undefined) {
    return { retry: () => Promise.resolve({ count: 0, nextInMs: 0 }), stop: () => Promise.resolve() };
  }
  const sender = makePushSender(deps);
  const dispatcher = startPushDispatcher({
    ...deps,
    sender,
    ensureRetries: () =>
      ensurePushRetries(client, taskQueue).catch((error: unknown) =>
        log.warn({ err: error }, 'failing push targets wait for Temporal'),
      ),
  });
  return {
    retry: async () => {
      await sender.send(await takeDueWakes(pool, 'failed', RETRIES));
      return readFailing(pool);
    },
    stop: dispatcher.stop,
  };
}
