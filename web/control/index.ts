// The public edge of this folder: the page's client of the local control server.
export { act } from './act.ts';
export type { AppConfig } from './config.ts';
export { readConfig } from './config.ts';
export type { ActionName, ControlState, Part, PartName, SaidLine } from './parts.ts';
export { ControlRefusedError } from './refused.ts';
export type { PartChange, StackView } from './stack.ts';
export { followStack, stack } from './stack.ts';
export { tokenFor } from './tokens.ts';
