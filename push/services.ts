import pLimit, { type LimitFunction } from 'p-limit';
import { LRUCache } from 'lru-cache';

/** Requests to one push service at a time. */
const PARALLEL = 16;
/** Wake-ups that wait for one push service. More of them come back later. */
const WAITING = 1000;
/** After so many failures in a row a service is left alone for a while. */
const FAILURES = 5;
const PAUSE_MS = 15_000;
/** What one answer may ask for. It can be about one target only, and all users of the service would wait. */
const LONGEST_ASKED_MS = 60_000;
/** Services in memory. Each needs some hundred bytes. */
const SERVICES = 2000;

interface Service {
  readonly limit: LimitFunction;
  failures: number;
  /** Milliseconds since 1970; nothing is sent before. */
  pausedUntil: number;
}

/** What one request did to its service. */
export interface ServiceResult<T> {
  readonly value: T;
  readonly failed: boolean;
  /** The service asks to be left alone for so long. */
  readonly askedMs: number | undefined;
}

/**
 * The push services that wake-ups go to, by origin. Each has its own queue, so one that hangs holds up no other. One that fails
 * again and again gets no requests for a while.
 */
export class PushServices {
  readonly #services = new LRUCache<string, Service>({ max: SERVICES });

  /**
   * Sends something to a service in its turn.
   * @returns what `send` returned; or for how many milliseconds not to try again, if it was not called
   */
  async use<T>(url: string, send: () => Promise<ServiceResult<T>>): Promise<{ value: T } | { pausedForMs: number }> {
    const service = this.#of(new URL(url).origin);
    if (service.limit.pendingCount >= WAITING) return { pausedForMs: PAUSE_MS };
    return service.limit(async () => {
      const pausedForMs = service.pausedUntil - Date.now();
      if (pausedForMs > 0) return { pausedForMs };
      const { value, failed, askedMs } = await send();
      service.failures = failed ? service.failures + 1 : 0;
      const pauseMs = Math.max(service.failures >= FAILURES ? PAUSE_MS : 0, Math.min(askedMs ?? 0, LONGEST_ASKED_MS));
      if (pauseMs > 0) service.pausedUntil = Math.max(service.pausedUntil, Date.now() + pauseMs);
      return { value };
    });
  }

  #of(origin: string): Service {
    let service = this.#services.get(origin);
    if (service === undefined) {
      service = { limit: pLimit(PARALLEL), failures: 0, pausedUntil: 0 };
      this.#services.set(origin, service);
    }
    return service;
  }
}
