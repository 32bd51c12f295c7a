// The public edge of this folder: the page's client of the local control server.
export { act } from './act.ts';
export type { AppConfig } from './config.ts';
export { readConfig } from './config.ts';
export type { ControlListener } from './follow-control.ts';
export { followControl } from './follow-control.ts';
export type { ActionName, ControlState, Part, PartName, SaidLine } from './parts.ts';
export type { PartChange, StackView } from './stack.ts';
export { followStack, NO_STACK, stack, withState } from './stack.ts';
export { ControlRefusedError } from './refused.ts';
export type { TokenFor } from './tokens.ts';
export { tokenFor } from './tokens.ts';
