import type pg from 'pg';
import type { Suspect } from '../../domain/supervision/look.ts';
import { logEndsOf } from '../../store/supervision/log-ends.ts';
import type { SupervisedRuns } from './runs.ts';

/**
 * Conversations whose run believes that they have come further than they have. A run that is behind is normal: what was decided
 * directly is not told to it. One that is ahead has seen entries that Postgres does not have any more, for example after a
 * restore. The run is asked first: what Postgres says afterwards can only be later.
 */
export async function disagreeing(
  pool: pg.Pool,
  runs: Pick<SupervisedRuns, 'belief'>,
  conversations: readonly string[],
): Promise<Suspect[]> {
  const beliefs = await Promise.all(
    conversations.map(async (conversation) => ({ conversation, belief: await runs.belief(conversation) })),
  );
  const ends = await logEndsOf(pool, conversations);
  return beliefs.flatMap(({ conversation, belief }): Suspect[] => {
    if (belief === undefined) return [];
    const { epoch = -1, lastSeq = -1 } = ends.get(conversation) ?? {};
    if (belief.epoch <= epoch && belief.lastSeq <= lastSeq) return [];
    const details = { lastSeq, runLastSeq: belief.lastSeq, epoch, runEpoch: belief.epoch };
    return [{ conversation, sign: 'disagrees', details }];
  });
}
