/** Types of the workflows, as the server and the Web UI name them. */
export const CONVERSATION_WORKFLOW = 'conversation';
export const SWEEP_WORKFLOW = 'sweep';
