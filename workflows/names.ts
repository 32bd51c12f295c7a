/** Workflow types. The Temporal server and its Web UI show these names. */
export const CONVERSATION_WORKFLOW = 'conversation';
export const SWEEP_WORKFLOW = 'sweep';
export const CONSISTENCY_WORKFLOW = 'consistencyAudit';
export const OFF_BOARDING_WORKFLOW = 'offBoarding';
export const PUSH_RETRY_WORKFLOW = 'pushRetry';
/** Has a bundle and a task queue of its own, so that a bad release of conversations does not take it along. */
export const SUPERVISOR_WORKFLOW = 'supervisor';
