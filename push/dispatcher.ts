import type { Logger } from 'pino';
import type pg from 'pg';
import type { Metrics } from '../process/metrics.ts';
import {
  endOldWakes,
  lookAtDevices,
  lookForWakes,
  readFailing,
  readOldestWake,
  settleCursors,
  takeDueWakes,
} from '../store/push/deliveries.ts';
import type { PushSender } from './sender.ts';

/** From one look for news to the next. */
const EVERY_MS = 400;
/** From one look at what is old or fails to the next. */
const HOUSEKEEPING_MS = 5000;
/** Nothing new is taken while so many wake-ups are being sent. */
const MAX_IN_FLIGHT = 2000;
const LOST = 100;

/** Finds devices that must be woken, in one worker process of possibly many. */
export interface PushDispatcher {
  readonly stop: () => Promise<void>;
}

export interface PushDispatcherDeps {
  readonly pool: pg.Pool;
  readonly sender: PushSender;
  readonly metrics: Pick<Metrics, 'pushDropped' | 'pushOldest'>;
  readonly log: Logger;
  /** Has a workflow try failing targets again, unless one does already. */
  readonly ensureRetries: () => Promise<void>;
}

/** Starts to look. Several processes share the work: who takes a conversation or a device has its row locked meanwhile. */
export function startPushDispatcher(deps: PushDispatcherDeps): PushDispatcher {
  const { pool, sender, metrics, log } = deps;
  let isStopped = false;
  let oldestSeconds = 0;
  let keptAt = 0;
  let timer: NodeJS.Timeout | undefined;
  metrics.pushOldest(() => oldestSeconds);

  const lookOnce = async (): Promise<void> => {
    const { wakes, acknowledged, muted } = await lookForWakes(pool);
    metrics.pushDropped('acknowledged', acknowledged);
    metrics.pushDropped('muted', muted);
    const found = [...wakes, ...(await lookAtDevices(pool)), ...(await takeDueWakes(pool, 'lost', LOST))];
    void sender.send(found);
  };
  const housekeep = async (): Promise<void> => {
    await settleCursors(pool);
    metrics.pushDropped('expired', await endOldWakes(pool));
    oldestSeconds = await readOldestWake(pool);
    const { count } = await readFailing(pool);
    if (count > 0) await deps.ensureRetries();
  };
  const round = async (): Promise<void> => {
    if (sender.inFlight() < MAX_IN_FLIGHT) await lookOnce();
    if (performance.now() < keptAt + HOUSEKEEPING_MS) return;
    keptAt = performance.now();
    await housekeep();
  };
  let running = Promise.resolve();
  const next = (): void => {
    if (isStopped) return;
    running = round()
      .catch((error: unknown) => log.warn({ err: error }, 'wake-ups not looked for'))
      .then(() => {
        if (!isStopped) timer = setTimeout(next, EVERY_MS);
      });
  };
  next();
  return {
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await running;
      await sender.close();
    },
  };
}
