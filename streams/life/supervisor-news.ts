import type pg from 'pg';
import type { LifeSupervisor, LookForNews } from '../../domain/life-event.ts';
import { type NumberedAction, listActionsOn } from '../../store/supervision/actions.ts';
import { type Trouble, listTroubles } from '../../store/trouble/troubles.ts';

/** Actions and signs that a new stream gets. */
export const KEPT_ACTIONS = 20;
/** Signs that were seen within this time. */
const SIGNS_WITHIN_MS = 10 * 60_000;
/** A sign that lasts is told again after this time: processes may see it many times in a second. */
const SIGN_AGAIN_MS = 10_000;

/** Follows what the supervisor does with a conversation, and the signs of trouble that processes report. */
export function makeSupervisorNews(pool: pg.Pool): (conversation: string) => LookForNews {
  return (conversation) => {
    /** A restored database gives numbers of the audit trail again: the time makes them others. */
    let toldActions = new Set<string>();
    const toldSigns = new Map<string, number>();

    const isNew = ({ sign, lastAt }: Trouble): boolean => {
      const before = toldSigns.get(sign);
      if (before !== undefined && lastAt.getTime() < before + SIGN_AGAIN_MS) return false;
      toldSigns.set(sign, lastAt.getTime());
      return true;
    };

    return async () => {
      const actions = await listActionsOn(pool, conversation, KEPT_ACTIONS);
      const signs = await listTroubles(pool, { conversation, withinMs: SIGNS_WITHIN_MS, limit: KEPT_ACTIONS });
      const fresh = actions.filter((action) => !toldActions.has(nameOf(action)));
      toldActions = new Set(actions.map(nameOf));
      return [...fresh.map(actionFact), ...signs.filter(isNew).map(signFact)].sort((a, b) => a.at - b.at);
    };
  };
}

function nameOf({ key, at }: NumberedAction): string {
  return `${key} ${at.getTime()}`;
}

function actionFact({ at, action, reason, details }: NumberedAction): LifeSupervisor {
  const { runId } = details;
  return {
    type: 'supervisor',
    at: at.getTime(),
    action,
    reason,
    ...(typeof runId === 'string' ? { outcome: `run ${runId}` } : {}),
  };
}

function signFact({ sign, lastAt, seen }: Trouble): LifeSupervisor {
  return { type: 'supervisor', at: lastAt.getTime(), action: 'sees', reason: sign, outcome: `seen ${seen} times` };
}
