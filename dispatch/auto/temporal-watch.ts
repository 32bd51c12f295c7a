import type { Logger } from 'pino';
import { jitter } from '../pause.ts';
import type { ReportTrouble } from '../trouble-reports.ts';
import type { AutoPath } from './auto-path.ts';
import { type OpenReason, type PendingUpdate, SILENT_CONVERSATIONS } from './breaker.ts';

const TICK_MS = 100;
/** An update without an answer is given up after this time ... */
const TIME_OUT_MS = 1500;
/** ... or after this time if one of its senders waits behind it. */
const SENDER_WAITS_MS = 1000;
/** A locked conversation is looked at again after this time. */
const LOCKED_AGAIN_MS = 1000;
const FIRST_PROBE_MS = 300;
const PROBE_EVERY_MS = [800, 1200] as const;
/** A limit that changed by this factor since the last line about it is worth a line. */
const NOTABLE = 4;

export interface TemporalWatchDeps {
  readonly auto: AutoPath;
  /** Whether server and worker answer. Never rejects, and takes no longer than a second. */
  readonly probe: () => Promise<boolean>;
  /** Which conversations have a locked row. Rejects when Postgres does not answer. */
  readonly locked: (conversations: readonly string[]) => Promise<ReadonlySet<string>>;
  /** By how much the event loop was late on average since the last call, in milliseconds. */
  readonly loopDelayMs: () => number;
  /** All queues look again. */
  readonly look: () => void;
  /** A conversation does not answer while others do, or its row is locked. */
  readonly onTrouble?: ReportTrouble;
  readonly log: Logger;
}

export interface TemporalWatch {
  /** Temporal refused the connection of an update. */
  readonly unavailable: () => void;
  readonly close: () => void;
}

/**
 * Watches the updates of this process: opens and closes the breaker, gives up updates that are not answered, and finds out
 * who is to blame: Temporal, a single workflow, or a locked row. All timers and calls of the path `auto` are here.
 */
export function watchTemporal(deps: TemporalWatchDeps): TemporalWatch {
  const { auto, log, look, onTrouble = () => undefined } = deps;
  const { breaker, budget, wedged } = auto;
  /** Updates whose silence is looked into, or was: not before this time again. */
  const nextLook = new WeakMap<PendingUpdate, number>();
  let probeTimer: ReturnType<typeof setTimeout> | undefined;
  let isCheckingSilence = false;
  let wasOutage = false;
  let shownLimit = budget.limit;
  let isClosed = false;

  const open = (reason: OpenReason): void => {
    if (isClosed || !breaker.open(reason)) return;
    log.warn({ reason }, 'Temporal does not answer: operations take the direct path where it is allowed');
    look();
    probeTimer = setTimeout(() => void probe(), FIRST_PROBE_MS);
  };

  const probe = async (): Promise<void> => {
    const away = Math.round(breaker.openMs);
    const closed = breaker.probed(await deps.probe());
    if (isClosed) return;
    if (closed) {
      budget.restart();
      log.warn({ awayMs: away }, 'Temporal answers again: operations take the workflow');
      look();
    } else {
      probeTimer = setTimeout(() => void probe(), jitter(...PROBE_EVERY_MS));
    }
  };

  /** Several conversations wait in silence, and nobody was answered: that is Temporal, unless their rows are locked. */
  const checkSilence = async (): Promise<void> => {
    const silent = breaker.silent();
    if (isCheckingSilence || silent.length < SILENT_CONVERSATIONS) return;
    isCheckingSilence = true;
    try {
      const locked = await deps.locked(silent);
      const still = breaker.silent().filter((conversation) => !locked.has(conversation));
      if (still.length >= SILENT_CONVERSATIONS) open('silent');
    } catch (error) {
      // Then it is Postgres that does not answer, and the direct path would not either.
      log.debug({ err: error }, 'locked rows not read');
    } finally {
      isCheckingSilence = false;
    }
  };

  /** One update has no answer. It goes direct unless its row is locked; then comes the question whose fault it was. */
  const timedOut = async (update: PendingUpdate): Promise<void> => {
    const { conversation, since } = update;
    nextLook.set(update, auto.now() + LOCKED_AGAIN_MS);
    let isLocked: boolean;
    try {
      isLocked = (await deps.locked([conversation])).has(conversation);
    } catch (error) {
      log.debug({ err: error }, 'locked rows not read');
      return;
    }
    if (!breaker.pending().has(update) || breaker.isOpen) return;
    if (isLocked) {
      mark(conversation, true);
      return;
    }
    nextLook.set(update, Infinity);
    update.giveUp('time-out');
    // Others were answered, or a probe is: then Temporal is well, and this workflow is not.
    if (breaker.hasAnsweredSince(since) || (await deps.probe())) mark(conversation, false);
    else open('time-out');
  };

  const mark = (conversation: string, isLocked: boolean): void => {
    const isNew = wedged.mark(conversation, { isLocked });
    onTrouble(conversation, isLocked ? 'blocked' : 'timeouts');
    if (!isLocked) look();
    if (!isNew) return;
    log.warn(
      { conversation },
      isLocked
        ? 'the row of the conversation is locked in Postgres'
        : 'the workflow of the conversation does not answer: it takes the direct path',
    );
  };

  const tick = (): void => {
    if (budget.tick(deps.loopDelayMs())) showLimit();
    if (breaker.isOpen) {
      if (auto.isOutage && !wasOutage) look();
      wasOutage = auto.isOutage;
      return;
    }
    wasOutage = false;
    void checkSilence();
    const now = auto.now();
    for (const update of breaker.pending()) {
      const age = now - update.since;
      if (age < SENDER_WAITS_MS || now < (nextLook.get(update) ?? 0)) continue;
      if (age >= TIME_OUT_MS || update.hasWaitingSender()) void timedOut(update);
    }
  };

  const showLimit = (): void => {
    const { limit, baselineMs = 0 } = budget;
    if (limit < shownLimit * NOTABLE && limit * NOTABLE > shownLimit) return;
    log.info({ from: shownLimit, to: limit, baselineMs: Math.round(baselineMs) }, 'budget of workflow updates changed');
    shownLimit = limit;
  };

  const timer = setInterval(tick, TICK_MS);
  return {
    unavailable: () => open('unavailable'),
    close: () => {
      isClosed = true;
      clearInterval(timer);
      clearTimeout(probeTimer);
    },
  };
}
