export { supervisor } from './workflow.ts';
