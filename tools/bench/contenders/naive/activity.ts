import type pg from 'pg';
import type { Notifier } from '../../../../store/log/notifications.ts';
import { storeMessage } from '../plain-sql.ts';
import type { NaiveActivities } from './messages.ts';

/** The transaction of the plain SQL contender, in an activity. A retry finds the message by its id. */
export function createNaiveActivities(pool: pg.Pool, notifier: Notifier): NaiveActivities {
  return {
    store: async ({ conversation, user, id, sha256, epoch, ciphertext }) => {
      const bytes = Buffer.from(ciphertext, 'base64');
      const outcome = await storeMessage(pool, { conversation, user, id, sha256, epoch, ciphertext: bytes });
      if (outcome.status === 'accepted') notifier.entry(conversation, outcome.seq);
      return outcome;
    },
  };
}
