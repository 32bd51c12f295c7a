import {
  TemporalFailure,
  continueAsNew,
  proxyLocalActivities,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type { SupervisorActivities } from '../../activities/supervisor/contract.ts';
import type { Look } from '../../domain/supervision/look.ts';
import { type Plan, plan, recall, settle } from '../../domain/supervision/plan.ts';
import { DEFAULT_POLICY } from '../../domain/supervision/policy.ts';
import { NOTHING_SEEN, type SupervisorState } from '../../domain/supervision/state.ts';
import { describeState, factsOf } from '../../domain/supervision/summary.ts';
import { type SupervisorInput, supervisorState } from './messages.ts';

// No start-to-close time-outs, and why: see the activities of the conversation.
const looking = proxyLocalActivities<Pick<SupervisorActivities, 'look' | 'recallRestarts'>>({
  scheduleToCloseTimeout: '20 seconds',
  retry: { maximumAttempts: 1 },
  summary: 'Look for conversations in trouble',
});
const acting = proxyLocalActivities<Pick<SupervisorActivities, 'act'>>({
  scheduleToCloseTimeout: '120 seconds',
  // A second try would verify and restart once more; the next round does that anyway.
  retry: { maximumAttempts: 1 },
  summary: 'Verify, restart, report',
});

/** Six to nine events each: a run stays below 1000. */
const ROUNDS = 100;

/**
 * The supervisor: it looks for conversations in trouble, decides by policy (`domain/supervision/plan.ts`), and acts. It runs
 * for ever, on a task queue and with a bundle of its own. It may be terminated at any time: its memory of restarts stands in the
 * audit trail too.
 */
export async function supervisor({ state: carried, rounds = ROUNDS }: SupervisorInput): Promise<never> {
  let state: SupervisorState | undefined = carried;
  let { intervalMs } = DEFAULT_POLICY;
  setHandler(supervisorState, () => state, { description: 'Conversations in trouble, restarts, brakes, last actions' });
  for (let round = 0; round < rounds; round++) {
    // Without Postgres there is no memory, and nothing to do.
    state ??= await orUndefined(recallState());
    const look: Look | undefined =
      state && (await orUndefined(looking.look({ facts: factsOf(state, Date.now()), sampleFrom: state.sampleFrom })));
    if (state !== undefined && look !== undefined) {
      const plannedAt = Date.now();
      const planned = plan(state, look, plannedAt);
      state = await carryOut(planned, look, plannedAt);
      intervalMs = look.policy?.intervalMs ?? intervalMs;
    }
    setCurrentDetails(describeState(state ?? NOTHING_SEEN, Date.now()));
    await sleep(intervalMs, { summary: 'Until the next round' });
  }
  return continueAsNew<typeof supervisor>({ ...(state === undefined ? {} : { state }), rounds });
}

async function carryOut(
  { state, restarts, others }: Plan,
  { policy }: Look,
  plannedAt: number,
): Promise<SupervisorState> {
  if (policy === undefined || (restarts.length === 0 && others.length === 0)) return state;
  const outcomes = await orUndefined(acting.act({ restarts, others, policy }));
  // Nobody knows which were restarted: all count.
  return settle(state, policy, restarts, outcomes ?? [], plannedAt);
}

async function recallState(): Promise<SupervisorState> {
  const { policy, restarts } = await looking.recallRestarts();
  return recall(restarts, policy);
}

/** A failed activity must not fail the supervisor: the next round tries again. */
async function orUndefined<T>(activity: Promise<T>): Promise<T | undefined> {
  try {
    return await activity;
  } catch (error) {
    if (!(error instanceof TemporalFailure)) throw error;
    return undefined;
  }
}
