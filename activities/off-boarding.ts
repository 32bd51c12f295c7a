import { ApplicationFailure } from '@temporalio/common';
import pLimit from 'p-limit';
import type pg from 'pg';
import type { RemovalNews } from '../store/off-boarding/removals.ts';
import {
  type OffBoarding,
  nextTargets,
  readOffBoardingById,
  saveOffBoarding,
  workOff,
} from '../store/off-boarding/off-boardings.ts';

/** An activity works for about this long. Then the workflow shows how far it has come. */
const STEP_MS = 2000;
/** Conversations of one page. */
const PAGE = 100;
/** Conversations at the same time. Each holds a connection. */
const PARALLEL = 4;
/** Pause when conversations could not be reached: somebody keeps their locks. */
const BLOCKED_MS = 5000;
/** While members have yet to commit, the pause is a part of the time since the beginning. */
const WAITING_SHARE = 10;
const MIN_WAITING_MS = 2000;
const MAX_WAITING_MS = 3600_000;

/** How far an off-boarding has come, after a step. */
export interface OffBoardingStep {
  /** Nothing is left to do: every group has lost the leaves, or the undo has reached every conversation. */
  readonly isDone: boolean;
  readonly isUndone: boolean;
  readonly total: number;
  readonly done: number;
  /** Conversations that wait for a commit of a member. */
  readonly waiting: number;
  /** Conversations that could not be reached in this step. */
  readonly blocked: number;
  /** Time until the next step, in milliseconds. */
  readonly pauseMs: number;
}

export interface OffBoardingActivities {
  /** Goes on with an off-boarding. @returns `undefined` = there is none with this id */
  offBoardingStep: (input: { readonly id: number }) => Promise<OffBoardingStep | undefined>;
}

export interface OffBoardingActivityDeps {
  readonly pool: pg.Pool;
  /** Called for each conversation that changed. */
  readonly onChanged: (conversation: string, news: RemovalNews) => void;
  /** Called for each conversation that could not be reached now, and for a step that failed. */
  readonly onFailure: (error: unknown, conversation?: string) => void;
}

/** Activities of an off-boarding. How far it has come stands in Postgres: a lost run loses nothing. */
export function createOffBoardingActivities(deps: OffBoardingActivityDeps): OffBoardingActivities {
  return {
    offBoardingStep: async ({ id }) => {
      try {
        return await step(deps, id);
      } catch (error) {
        deps.onFailure(error);
        // A database message may contain stored values, and failures are stored in the history (invariant 10).
        throw ApplicationFailure.create({ type: 'off-boarding', message: 'The off-boarding cannot go on now' });
      }
    },
  };
}

async function step(deps: OffBoardingActivityDeps, id: number): Promise<OffBoardingStep | undefined> {
  const { pool } = deps;
  const begun = await readOffBoardingById(pool, id);
  if (begun === undefined) return undefined;
  const { blocked, isWorked } = await workOffPages(deps, begun, performance.now() + STEP_MS);
  const now = (await readOffBoardingById(pool, id)) ?? begun;
  const { endedAt, total, done, waiting } = now;
  const isUndone = endedAt !== null;
  const isDone = isWorked && waiting === 0 && (begun.endedAt !== null) === isUndone;
  if (isDone) await saveOffBoarding(pool, now, { position: 0, isWorked: true, isDone });
  const pauseMs = blocked > 0 ? BLOCKED_MS : isWorked ? waitingPause(now) : 0;
  return { isDone, isUndone, total, done, waiting, blocked, pauseMs };
}

/**
 * Works off conversations until the time is over. When all were reached, the next step begins again: a conversation may have
 * been locked, and a reset may have made one with the user meanwhile.
 */
async function workOffPages(
  deps: OffBoardingActivityDeps,
  offBoarding: OffBoarding,
  until: number,
): Promise<{ readonly blocked: number; readonly isWorked: boolean }> {
  const parallel = pLimit(PARALLEL);
  let blocked = 0;
  while (performance.now() < until) {
    const targets = await nextTargets(deps.pool, offBoarding.id, PAGE);
    const reached = await parallel.map(targets, async ({ id }) => {
      try {
        const news = await workOff(deps.pool, offBoarding, id);
        if (news !== undefined) deps.onChanged(id, news);
        return true;
      } catch (error) {
        deps.onFailure(error, id);
        return false;
      }
    });
    blocked += reached.filter((isReached) => !isReached).length;
    const last = targets.at(-1);
    const isEnd = last === undefined || targets.length < PAGE;
    await saveOffBoarding(deps.pool, offBoarding, {
      position: isEnd ? 0 : last.key,
      isWorked: isEnd && blocked === 0,
      isDone: false,
    });
    if (isEnd) return { blocked, isWorked: blocked === 0 };
  }
  return { blocked, isWorked: false };
}

function waitingPause({ startedAt }: OffBoarding): number {
  const pause = (Date.now() - startedAt.getTime()) / WAITING_SHARE;
  return Math.round(Math.min(Math.max(pause, MIN_WAITING_MS), MAX_WAITING_MS));
}
