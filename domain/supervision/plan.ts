import { backoffMs } from './backoff.ts';
import { type Brakes, escalate, isStopped, released } from './escalation.ts';
import { type FailedRun, type Look, type Outcome, type Suspect, canBeMended } from './look.ts';
import type { SupervisionPolicy } from './policy.ts';
import {
  MOST_ACTIONS,
  MOST_FAILED_RUNS,
  MOST_WATCHED,
  NOTHING_SEEN,
  type Order,
  type SupervisorState,
  type Watched,
  within,
} from './state.ts';

/** What the supervisor wants to be done in this round. */
export interface Plan {
  readonly state: SupervisorState;
  /** To be verified and carried out. They count as restarts until somebody says otherwise ({@link settle}). */
  readonly restarts: readonly Order[];
  /** To be written down. */
  readonly others: readonly Order[];
}

/**
 * Decides what to do about what was seen. Pure: the same state, look and time give the same plan. The promise: no conversation
 * is restarted without a sign that was seen in `looks` rounds in a row, more than `maxRestarts` times within the window, before
 * its pause is over, or while its bucket or the service is stopped.
 */
export function plan(before: SupervisorState, look: Look, now: number): Plan {
  const { policy } = look;
  if (policy === undefined) return { state: withAway(before, look, now), restarts: [], others: [] };
  const returned = whoIsBack(before, look, now);
  const state = expire(withAway(adopt(before, look.policyMark), look, now), policy, now);
  const isAway = look.away !== undefined;
  const others: Order[] = [...returned, ...newlyAway(state, policy), ...countFailures(state, look.failedRuns)];
  const restarts: Order[] = [];
  let brakes: Brakes = state;
  const seen = new Map(look.suspects.map((suspect) => [suspect.conversation, suspect]));

  const watched = watch(state.watched, seen, now).map((one): Watched => {
    if (one.looks < policy.looks || now < one.nextAt) return one;
    if (policy.strategy === 'report-only' || !canBeMended(one.sign)) return report(one, others, policy, now);
    // Nobody would take the new run, or the brakes are on: it stays as it is.
    if (isAway || isStopped(brakes, policy, one.conversation, now)) return one;
    if (one.restarts.length >= policy.maxRestarts) {
      const escalation = escalate(brakes, policy, one.conversation, now);
      ({ brakes } = escalation);
      others.push({ ...orderOf(one), action: 'give-up', reason: 'restarts' }, ...escalation.orders);
      // It has a new chance when the last of its restarts has left the window.
      return { ...one, nextAt: Math.max(...one.restarts) + policy.windowMs };
    }
    if (restarts.length >= policy.maxPerRound) return one;
    restarts.push({ ...orderOf(one), action: 'restart', isKnown: now < one.quietUntil });
    const times = [...one.restarts, now];
    return { ...one, restarts: times, nextAt: now + backoffMs(policy, one.conversation, times.length) };
  });
  const failedRuns = [...state.failedRuns, ...newFailures(state, look.failedRuns).map(({ runId }) => runId)];
  return {
    state: remember({ ...state, ...brakes, watched, failedRuns: failedRuns.slice(-MOST_FAILED_RUNS) }, others, now),
    restarts,
    others,
  };
}

/** Takes in what became of the restarts of a plan that was made at `plannedAt`. What was not restarted does not count as one. */
export function settle(
  state: SupervisorState,
  { windowMs }: SupervisionPolicy,
  restarts: readonly Order[],
  outcomes: readonly Outcome[],
  plannedAt: number,
): SupervisorState {
  const byConversation = new Map(restarts.map(({ conversation }, i) => [conversation, outcomes[i]]));
  const watched = state.watched.map((one): Watched => {
    if (!byConversation.has(one.conversation)) return one;
    const outcome = byConversation.get(one.conversation);
    const wasLeft = outcome === 'untouched' || outcome === 'reported';
    return {
      ...one,
      looks: 0,
      restarts: wasLeft ? one.restarts.filter((at) => at !== plannedAt) : one.restarts,
      quietUntil: outcome === 'reported' ? plannedAt + windowMs : one.quietUntil,
    };
  });
  const done = restarts.flatMap((order, i): Order[] => {
    if (outcomes[i] === 'restarted') return [order];
    return outcomes[i] === 'reported' ? [{ ...order, action: 'report' }] : [];
  });
  return remember({ ...state, watched }, done, plannedAt);
}

/** The state of a supervisor that begins without a memory: it knows its restarts from the audit trail. */
export function recall(
  restarts: readonly { readonly conversation: string; readonly at: number }[],
  policy: SupervisionPolicy,
): SupervisorState {
  const watched = new Map<string, Watched>();
  for (const { conversation, at } of restarts) {
    const times = [...(watched.get(conversation)?.restarts ?? []), at];
    watched.set(conversation, {
      conversation,
      sign: 'timeouts',
      details: {},
      looks: 0,
      restarts: times,
      nextAt: at + backoffMs(policy, conversation, times.length),
      quietUntil: 0,
    });
  }
  return { ...NOTHING_SEEN, watched: [...watched.values()].slice(-MOST_WATCHED) };
}

/** A new policy begins with a clean sheet: what was given up or stopped has another chance. */
function adopt(state: SupervisorState, policyMark: string): SupervisorState {
  if (state.policyMark === policyMark) return state;
  if (state.policyMark === undefined) return { ...state, policyMark };
  const { failedRuns, sampleFrom, actions, away } = state;
  return { ...NOTHING_SEEN, failedRuns, sampleFrom, actions, policyMark, ...(away === undefined ? {} : { away }) };
}

function expire(state: SupervisorState, policy: SupervisionPolicy, now: number): SupervisorState {
  const watched = state.watched.map((one) => ({ ...one, restarts: within(one.restarts, policy.windowMs, now) }));
  return { ...state, ...released(state, policy, now), watched };
}

/** The conversations to think about: those that are seen now, those whose restarts still count, and those that were reported lately. */
function watch(known: readonly Watched[], seen: ReadonlyMap<string, Suspect>, now: number): Watched[] {
  const kept = known.flatMap((one): Watched[] => {
    const suspect = seen.get(one.conversation);
    if (suspect !== undefined) return [{ ...one, ...suspect, looks: one.looks + 1 }];
    return one.restarts.length > 0 ? [{ ...one, looks: 0 }] : [];
  });
  const names = new Set(kept.map(({ conversation }) => conversation));
  const added = [...seen.values()]
    .filter(({ conversation }) => !names.has(conversation))
    .map((suspect): Watched => ({ ...suspect, looks: 1, restarts: [], nextAt: 0, quietUntil: 0 }));
  // No memory is given up for a new one: a conversation whose restarts were forgotten could be restarted too often.
  const thought = [...kept, ...added.slice(0, Math.max(0, MOST_WATCHED - kept.length))];
  // A sign that comes and goes must not write a line each time. These give way to all others.
  const quiet = known
    .filter(({ conversation, quietUntil }) => now < quietUntil && !names.has(conversation))
    .map((one): Watched => ({ ...one, looks: 0 }));
  return [...thought, ...quiet.slice(0, Math.max(0, MOST_WATCHED - thought.length))];
}

function report(one: Watched, others: Order[], policy: SupervisionPolicy, now: number): Watched {
  if (now < one.quietUntil) return one;
  others.push({ ...orderOf(one), action: 'report' });
  return { ...one, quietUntil: now + policy.windowMs };
}

function orderOf({ conversation, sign, details }: Watched): Omit<Order, 'action'> {
  return { conversation, reason: sign, details };
}

function newFailures({ failedRuns }: SupervisorState, found: readonly FailedRun[]): FailedRun[] {
  return found.filter(({ runId }) => !failedRuns.includes(runId));
}

function countFailures(state: SupervisorState, found: readonly FailedRun[]): Order[] {
  return newFailures(state, found).map(({ conversation, runId }): Order => ({
    action: 'count',
    conversation,
    reason: 'run-failed',
    details: { runId },
  }));
}

function withAway({ away, ...state }: SupervisorState, look: Look, now: number): SupervisorState {
  const { sampleFrom } = look;
  if (look.away === undefined) return { ...state, sampleFrom };
  const known = away?.who === look.away ? away : { who: look.away, since: now, looks: 0 };
  return { ...state, sampleFrom, away: { ...known, looks: known.looks + 1 } };
}

/** Somebody who does not answer is reported as late as a conversation: a busy machine is slow for a moment. */
function newlyAway({ away }: SupervisorState, policy: SupervisionPolicy): Order[] {
  return away?.looks === policy.looks ? [{ action: 'report', reason: away.who, details: {} }] : [];
}

/** While Postgres is away nothing can be written down. So it is reported when it is back. */
function whoIsBack({ away }: SupervisorState, look: Look, now: number): Order[] {
  if (away?.who !== 'postgres' || look.away === 'postgres') return [];
  return [{ action: 'report', reason: 'postgres', details: { seconds: Math.round((now - away.since) / 1000) } }];
}

function remember(state: SupervisorState, done: readonly Order[], at: number): SupervisorState {
  if (done.length === 0) return state;
  const lines = done.slice(-MOST_ACTIONS).map((order) => ({ ...order, at }));
  return { ...state, actions: [...state.actions, ...lines].slice(-MOST_ACTIONS) };
}
