import type pg from 'pg';
import { createOffBoardingActivities, type OffBoardingStep } from '../../activities/off-boarding.ts';
import { issueRemoval } from '../../activities/removal-proposals.ts';
import { BODY_LIMIT_COMMITS } from '../../domain/limits.ts';
import { type Removal, takeRemovals } from '../../store/off-boarding/removals.ts';

export const SENDER_SECRET = 'a secret of the configuration, for tests only';

/** What a worker does for off-boardings, step by step. */
export interface OffBoardingWork {
  /** One step of the workflow. */
  readonly step: (id: number) => Promise<OffBoardingStep | undefined>;
  /** Proposes all removals that wait for it. @returns them */
  readonly propose: (secret?: string) => Promise<Removal[]>;
  readonly failures: unknown[];
}

export function offBoardingWork(pool: pg.Pool): OffBoardingWork {
  const failures: unknown[] = [];
  const { offBoardingStep } = createOffBoardingActivities({
    pool,
    onChanged: () => undefined,
    onFailure: (error) => void failures.push(error),
  });
  return {
    step: (id) => offBoardingStep({ id }),
    propose: async (secret = SENDER_SECRET) => {
      const taken = await takeRemovals(pool, 1000);
      const deps = { pool, senderSecret: secret, maxTreeBytes: BODY_LIMIT_COMMITS };
      for (const removal of taken) {
        await issueRemoval({ ...deps, onSealed: (error) => void failures.push(error) }, removal);
      }
      return taken;
    },
    failures,
  };
}
