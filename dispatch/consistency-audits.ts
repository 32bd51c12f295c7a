import { type Client, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { AppError } from '../domain/errors.ts';

/** Id of the schedule of the consistency audit. One for each task queue: several installations may share a namespace. */
export function consistencyScheduleId(taskQueue: string): string {
  return `parley-consistency/${taskQueue}`;
}

/** Has the workers go on with the consistency audit now, unless they do already. @throws AppError `unavailable` */
export type RunConsistencyAudit = (deadline: number) => Promise<void>;

export function makeRunConsistencyAudit(client: Client, taskQueue: string): RunConsistencyAudit {
  return async (deadline) => {
    try {
      await client.withDeadline(deadline, () =>
        client.schedule.getHandle(consistencyScheduleId(taskQueue)).trigger(ScheduleOverlapPolicy.SKIP),
      );
    } catch (error) {
      const detail =
        error instanceof ScheduleNotFoundError
          ? 'No worker has made the schedule of the audit yet'
          : 'Temporal does not answer: ask again, and the audit goes on';
      throw new AppError('unavailable', detail, {}, { cause: error });
    }
  };
}
