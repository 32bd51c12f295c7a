import type pg from 'pg';
import type { Notifier } from '../../../../store/log/notifications.ts';
import { fromWire } from '../command.ts';
import { storeInTransaction } from '../plain-sql/transaction.ts';
import type { NaiveActivities } from './messages.ts';

/** The transaction of the plain SQL contender, in an activity. A retry finds the command by its id. */
export function createNaiveActivities(pool: pg.Pool, notifier: Notifier): NaiveActivities {
  return {
    store: async (command) => {
      const outcome = await storeInTransaction(pool, fromWire(command));
      if (outcome.status === 'accepted') notifier.entry(command.conversation, outcome.seq);
      return outcome;
    },
  };
}
