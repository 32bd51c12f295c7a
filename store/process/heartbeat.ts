import type { Logger } from 'pino';
import type pg from 'pg';
import { SIGN_EVERY_MS, forgetProcesses, signOff } from './processes.ts';

/** Between two searches for rows of processes that are gone. */
const FORGET_EVERY_MS = 60_000;
/** Time for the last word of a process. PostgreSQL may be away. */
const SIGN_OFF_MS = 1000;

export interface Heartbeat {
  /** The first sign. Resolves also when it failed. */
  readonly first: Promise<void>;
  /** Signs no more, and says that the process leaves. Never rejects. Later calls wait for the same. */
  readonly stop: () => Promise<void>;
}

/**
 * Lets a process sign each second, as long as its event loop runs. A sign that failed, or takes longer, is left out: silence is what
 * others go by.
 * @param id of the process
 * @param sign writes the row (`processes.ts`)
 */
export function startHeartbeat(deps: {
  readonly pool: pg.Pool;
  readonly id: string;
  readonly sign: () => Promise<unknown>;
  readonly log: Logger;
}): Heartbeat {
  const { pool, id, sign, log } = deps;
  let stopping: Promise<void> | undefined;
  let hasFailed = false;
  const beat = async (): Promise<void> => {
    try {
      await sign();
      if (hasFailed) log.info('the process signs again');
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) log.warn({ err: error }, 'the process could not sign: others take it for dead');
      hasFailed = true;
    }
  };
  const first = beat();
  let running: Promise<void> | undefined = first.finally(() => (running = undefined));
  const next = (): void => {
    running ??= beat().finally(() => (running = undefined));
  };
  const forget = (): void => {
    forgetProcesses(pool).catch((error: unknown) =>
      log.debug({ err: error }, 'rows of old processes were not deleted'),
    );
  };
  const timers = [setInterval(next, SIGN_EVERY_MS), setInterval(forget, FORGET_EVERY_MS)];

  const leave = async (): Promise<void> => {
    for (const timer of timers) clearInterval(timer);
    // A sign after the last word would leave a row.
    await running;
    await signOff(pool, id).catch((error: unknown) => log.debug({ err: error }, 'the process could not sign off'));
  };
  return { first, stop: () => (stopping ??= within(leave(), SIGN_OFF_MS)) };
}

/** Waits for work, but not longer than a time. */
async function within(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
