import pLimit from 'p-limit';
import type { Outcome } from '../../domain/supervision/look.ts';
import type { SupervisionPolicy } from '../../domain/supervision/policy.ts';
import type { Order } from '../../domain/supervision/state.ts';
import { lockedAmong } from '../../store/decision/locked.ts';
import { writeActions } from '../../store/supervision/actions.ts';
import type { ActInput, SupervisorActivityDeps } from './contract.ts';
import { disagreeing } from './disagreement.ts';

/** Conversations that are verified at a time. A wedged one takes the whole patience. */
const PARALLEL = 50;

/** Carries out what the supervisor decided. Nothing is restarted unless it is found in trouble once more, here and now. */
export function makeAct(deps: SupervisorActivityDeps): (input: ActInput) => Promise<Outcome[]> {
  const { pool, runs, onAction, onFailure } = deps;
  const write = async (orders: readonly Order[]): Promise<void> => {
    await writeActions(pool, orders);
    for (const order of orders) onAction(order);
  };

  const restart = async (order: Order, conversation: string, policy: SupervisionPolicy): Promise<Outcome> => {
    const run = await runs.runOf(conversation);
    const verdict = run === undefined ? nobodyThere(order) : await verdictOf(order, conversation, run, policy);
    if (verdict === 'well') return 'untouched';
    if (verdict === 'busy') {
      if (order.isKnown === true) return 'untouched';
      await write([{ ...order, action: 'report' }]);
      return 'reported';
    }
    if ((await lockedAmong(pool, [conversation])).size > 0) return 'untouched';
    // Written first: a crash in between leaves a line too many, and never one too few.
    await write([{ ...order, details: { ...order.details, ...(run === undefined ? {} : { runId: run.runId }) } }]);
    await runs.replace(conversation, run?.runId, `supervisor: ${order.reason}`);
    return 'restarted';
  };

  const verdictOf = async (
    { reason }: Order,
    conversation: string,
    { runId, attempts }: { readonly runId: string; readonly attempts: number },
    { patienceMs, taskAttempts }: SupervisionPolicy,
  ): Promise<'wedged' | 'well' | 'busy'> => {
    const answer = await runs.answers(conversation, runId, patienceMs);
    switch (answer) {
      case 'ended':
        return 'well';
      case 'no':
        // The workers may have left since the look.
        return (await runs.workersAnswer()) ? 'wedged' : 'well';
      // Young failures may heal: a worker may have been killed, or a good release may be on its way.
      case 'refused':
        return attempts >= taskAttempts ? 'wedged' : 'well';
      case 'yes':
        if (reason === 'disagrees') {
          return (await disagreeing(pool, runs, [conversation])).length > 0 ? 'wedged' : 'well';
        }
        return reason === 'overdue' || reason === 'mailbox-full' ? 'busy' : 'well';
    }
  };

  return async ({ restarts, others, policy }) => {
    await write(others);
    return pLimit(PARALLEL).map(restarts, async (order): Promise<Outcome> => {
      try {
        return order.conversation === undefined ? 'untouched' : await restart(order, order.conversation, policy);
      } catch (error) {
        onFailure(`restart of ${order.conversation ?? ''}`, error);
        return 'unknown';
      }
    });
  };
}

/** What is overdue is started. Otherwise nobody is needed: the next operation starts it. */
function nobodyThere({ reason }: Order): 'wedged' | 'well' {
  return reason === 'overdue' ? 'wedged' : 'well';
}
