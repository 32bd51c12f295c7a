/** Workflow types. The Temporal server and its Web UI show these names. */
export const CONVERSATION_WORKFLOW = 'conversation';
export const SWEEP_WORKFLOW = 'sweep';
export const CONSISTENCY_WORKFLOW = 'consistencyAudit';

/** Id of the schedule of the consistency audit. One for each task queue: several installations may share a namespace. */
export function consistencyScheduleId(taskQueue: string): string {
  return `parley-consistency/${taskQueue}`;
}
