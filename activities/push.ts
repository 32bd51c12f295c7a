import { ApplicationFailure } from '@temporalio/common';
import type { Failing } from '../store/push/deliveries.ts';

export interface PushActivityDeps {
  /** Sends again what is due. @returns what still fails */
  readonly retry: () => Promise<Failing>;
  /** Called with the complete error, for the log. */
  readonly onFailure: (error: unknown) => void;
}

export interface PushActivities {
  /** Sends wake-ups of failing targets that are due again. Names nobody: histories hold counts only (invariant 10). */
  retryPushes: () => Promise<Failing>;
}

/** Activities of the retries of wake-ups. */
export function createPushActivities({ retry, onFailure }: PushActivityDeps): PushActivities {
  return {
    retryPushes: async () => {
      try {
        return await retry();
      } catch (error) {
        onFailure(error);
        throw ApplicationFailure.create({ type: 'push', message: 'Wake-ups cannot be sent again now' });
      }
    },
  };
}
