/**
 * Changes of workflow code that runs of older code do not have. A run asks once, at its start, and its history records the
 * answer. An entry may go when no run of the older code can be alive.
 */
export const PATCH = {
  /** Since 0.2.0. */
  handlersOnlyQueue: 'handlers-only-queue',
  /** Since the release after 0.2.0. Includes the change before. */
  plainPromises: 'plain-promises',
} as const;
