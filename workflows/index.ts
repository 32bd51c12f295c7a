export { conversation } from './conversation/workflow.ts';
export { consistencyAudit } from './consistency-audit.ts';
export { offBoarding } from './off-boarding.ts';
export { pushRetry } from './push-retry.ts';
export { sweep } from './sweep.ts';
