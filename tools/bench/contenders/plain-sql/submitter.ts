import type pg from 'pg';
import type { Submitter } from '../../../../dispatch/submission.ts';
import { outcomeFor } from '../../../../domain/outcome.ts';
import type { Notifier } from '../../../../store/log/notifications.ts';
import { peerCommand } from '../command.ts';
import { storeInTransaction } from './transaction.ts';

/** Submitter of the plain SQL contender, behind the same HTTP API. */
export function makePlainSqlSubmitter(pool: pg.Pool, notifier: Notifier): Submitter {
  return {
    submit: async (submission) => {
      const outcome = await storeInTransaction(pool, peerCommand(submission));
      if (outcome.status === 'accepted') notifier.entry(submission.conversation, outcome.seq);
      return outcomeFor(submission.command, outcome);
    },
  };
}
