/** Workflow types. The Temporal server and its Web UI show these names. */
export const CONVERSATION_WORKFLOW = 'conversation';
export const SWEEP_WORKFLOW = 'sweep';
export const CONSISTENCY_WORKFLOW = 'consistencyAudit';
