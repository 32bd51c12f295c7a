import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/** Pauses between tries: each is one and a half times the previous one, up to the longest. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
/** Between two log lines about the same trouble. */
const LOG_EVERY_MS = 30_000;

/**
 * Repeats a step of a start until it succeeds. Logs the first failure, then one line every 30 s, and the success after
 * failures.
 * @param what for the log, for example `connection to Temporal`
 * @param signal ends the tries
 * @returns what the step returned; undefined if the signal came first
 */
export async function tryUntilDone<T>(options: {
  readonly what: string;
  readonly step: () => Promise<T>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<T | undefined> {
  const { what, step, log, signal } = options;
  const startedAt = performance.now();
  let loggedAt = Number.NEGATIVE_INFINITY;
  let pauseMs = FIRST_PAUSE_MS;
  for (let tries = 1; !signal.aborted; tries++) {
    try {
      const result = await step();
      if (tries > 1) log.info({ tries, seconds: secondsSince(startedAt) }, `${what}: done`);
      return result;
    } catch (error) {
      if (performance.now() - loggedAt >= LOG_EVERY_MS) {
        loggedAt = performance.now();
        log.warn({ err: error, tries, seconds: secondsSince(startedAt) }, `${what}: not yet, trying again`);
      }
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS);
  }
  return undefined;
}

function secondsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 1000);
}
