import type { Details } from './look.ts';
import type { DoneAction, Order, SupervisorState } from './state.ts';

/** What the supervisor says of itself, for operators. */
export function factsOf(state: SupervisorState, now: number): Details {
  return {
    degraded: isDegraded(state, now),
    inTrouble: state.watched.filter(({ looks }) => looks > 0).length,
    restarts: state.watched.reduce((sum, { restarts }) => sum + restarts.length, 0),
    stoppedBuckets: state.buckets.filter(({ stoppedUntil }) => stoppedUntil > now).length,
    ...(state.away === undefined ? {} : { away: state.away.who }),
  };
}

/** Whether restarts are stopped for the whole service, or nobody is there to take them. A drain is the operator's wish. */
export function isDegraded({ degradedUntil, away }: SupervisorState, now: number): boolean {
  return degradedUntil > now || (away !== undefined && away.who !== 'drain');
}

/** The details of the supervisor's page in the Web UI (Markdown). */
export function describeState(state: SupervisorState, now: number): string {
  const { inTrouble, restarts, stoppedBuckets, away } = factsOf(state, now);
  const health = isDegraded(state, now) ? 'degraded' : 'well';
  const facts = [
    `**${health}**`,
    `${String(inTrouble)} in trouble`,
    `${String(restarts)} restarts within the window`,
    ...(stoppedBuckets === 0 ? [] : [`${String(stoppedBuckets)} buckets stopped`]),
    ...(away === undefined ? [] : [away === 'drain' ? 'drained' : `${String(away)} away`]),
  ];
  return [facts.join(' · '), ...[...state.actions].reverse().map(describeAction)].join('\n\n');
}

function describeAction({ at, ...order }: DoneAction): string {
  return `${new Date(at).toISOString()} ${describeOrder(order)}`;
}

/** One line about an action. */
export function describeOrder({ action, conversation, reason, details }: Order): string {
  const facts = Object.entries(details).map(([name, value]) => `${name}=${String(value)}`);
  return [action, ...(conversation === undefined ? [] : [`\`${conversation}\``]), reason, ...facts].join(' ');
}
