import { ApplicationFailure } from '@temporalio/common';

/** Targets whose wake-up is to be sent again. */
export interface FailingTargets {
  /** Counted up to a thousand. */
  readonly count: number;
  /** Until the first of them is due; milliseconds. */
  readonly nextInMs: number;
}

export interface PushActivityDeps {
  /** Sends again what is due. @returns what still fails */
  readonly retry: () => Promise<FailingTargets>;
  /** Called with the complete error, for the log. */
  readonly onFailure: (error: unknown) => void;
}

export interface PushActivities {
  /** Sends wake-ups of failing targets that are due again. Names nobody: histories hold counts only (invariant 10). */
  retryPushes: () => Promise<FailingTargets>;
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
