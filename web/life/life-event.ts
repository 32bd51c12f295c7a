import type { LifeEvent } from '../../client/index.ts';

/** One kind of fact. */
type Of<Type extends LifeEvent['type']> = Extract<LifeEvent, { readonly type: Type }>;

export type { LifeEvent };
export type LifeHead = Of<'head'>;
export type LifeEntry = Of<'entry'>;
export type LifeOperation = Of<'operation'>;
export type LifeWorkflow = Of<'workflow'>;
export type LifeHistory = Of<'history'>;
export type LifeSupervisor = Of<'supervisor'>;
export type LifePath = LifeHead['path']['now'];
export type LifePart = Of<'trouble'>['part'];
