export { conversation } from './conversation/workflow.ts';
export { sweep } from './sweep.ts';
