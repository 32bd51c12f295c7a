import type { Logger } from 'pino';
import type pg from 'pg';
import type { Metrics } from '../process/metrics.ts';
import { type Delivery, type Wake, recordDeliveries } from '../store/push/deliveries.ts';
import { makeAddresses } from './addresses.ts';
import { backOff } from './back-off.ts';
import { type Post, makePost } from './post.ts';
import { type WakeRequest, makeWakeRequest } from './requests.ts';
import { PushServices, type ServiceResult } from './services.ts';
import type { PushSettings } from '../process/push-settings.ts';
import { type Verdict, judgeAnswer } from './verdict.ts';

/** Results are stored together. */
const GATHER_MS = 50;

/** Sends wake-ups, and stores how that ended. */
export interface PushSender {
  /** Sends each; never rejects. What could not be stored is sent again after its lease. */
  readonly send: (wakes: readonly Wake[]) => Promise<void>;
  /** Wake-ups that are being sent. */
  readonly inFlight: () => number;
  /** Waits for those that are being sent, and closes connections. */
  readonly close: () => Promise<void>;
}

export interface SenderDeps {
  readonly pool: pg.Pool;
  readonly settings: PushSettings;
  readonly metrics: Pick<Metrics, 'pushSent' | 'pushFailed' | 'pushDropped'>;
  readonly log: Logger;
  /** @default real requests */
  readonly post?: Post;
}

export function makePushSender(deps: SenderDeps): PushSender {
  const { pool, settings, metrics, log } = deps;
  const { post, close } = deps.post ?? makePost(makeAddresses(settings.networks));
  const requestOf = makeWakeRequest(settings);
  const services = new PushServices();
  const running = new Set<Promise<void>>();
  const record = gather((deliveries: readonly Delivery[]) =>
    recordDeliveries(pool, deliveries).catch((error: unknown) => log.warn({ err: error }, 'wake-ups not recorded')),
  );

  const attempt = async (wake: Wake, request: WakeRequest): Promise<ServiceResult<Verdict>> => {
    try {
      const answer = await post(request.url, request.headers, request.body);
      const value = judgeAnswer(wake.target.kind, answer);
      return {
        value,
        failed: value.state === 'failed',
        askedMs: value.state === 'failed' ? value.retryAfterMs : undefined,
      };
    } catch (error) {
      log.debug({ err: error, service: new URL(request.url).origin }, 'push service did not answer');
      const value = { state: 'failed', reason: 'no-answer', retryAfterMs: undefined } as const;
      return { value, failed: true, askedMs: undefined };
    }
  };
  /** None for a kind that the configuration has no more, or for keys that the library does not take. */
  const requestOrNone = async (wake: Wake): Promise<WakeRequest | undefined> => {
    try {
      return await requestOf(wake, Date.now());
    } catch (error) {
      log.warn({ err: error }, 'wake-up not made');
      return undefined;
    }
  };
  const deliver = async (wake: Wake): Promise<Delivery> => {
    const { key, id, target, attempts } = wake;
    const request = await requestOrNone(wake);
    if (request === undefined) {
      metrics.pushDropped('refused');
      return { key, id, state: 'refused' };
    }
    const used = await services.use(request.url, () => attempt(wake, request));
    if ('pausedForMs' in used) {
      metrics.pushFailed('postponed');
      return { key, id, state: 'postponed', retryInMs: backOff(attempts, used.pausedForMs) };
    }
    const verdict = used.value;
    if (verdict.state === 'sent') metrics.pushSent(target.kind);
    else if (verdict.state === 'failed') metrics.pushFailed(verdict.reason);
    else metrics.pushDropped(verdict.state);
    if (verdict.state !== 'failed') return { key, id, state: verdict.state };
    return { key, id, state: 'failed', retryInMs: backOff(attempts, verdict.retryAfterMs) };
  };
  const sendOne = async (wake: Wake): Promise<void> => record(await deliver(wake));

  return {
    send: async (wakes) => {
      const sends = wakes.map((wake) => {
        const one: Promise<void> = sendOne(wake).finally(() => running.delete(one));
        running.add(one);
        return one;
      });
      await Promise.all(sends);
    },
    inFlight: () => running.size,
    close: async () => {
      await Promise.all(running);
      close();
    },
  };
}

/** Calls a function with what came within a short time. @returns resolves when the call has ended */
function gather<T>(call: (items: readonly T[]) => Promise<void>): (item: T) => Promise<void> {
  let waiting: { items: T[]; done: Promise<void> } | undefined;
  return (item) => {
    if (waiting === undefined) {
      const items: T[] = [];
      const done = new Promise<void>((resolve) => {
        setTimeout(() => {
          waiting = undefined;
          void call(items).then(resolve);
        }, GATHER_MS);
      });
      waiting = { items, done };
    }
    waiting.items.push(item);
    return waiting.done;
  };
}
