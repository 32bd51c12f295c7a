import type { Arena } from './arena/arena.ts';
import type { Member } from './arena/fleet.ts';

/** What a fault may use. */
export interface Stage {
  readonly arena: Arena;
  readonly conversations: readonly string[];
  /** A random whole number below a limit. */
  readonly below: (limit: number) => number;
}

/** A fault that was injected. */
export interface Injected {
  /** What exactly was hit, for the report. */
  readonly what: string;
  /** Conversations that it concerns; the others must not notice. @default all */
  readonly affected?: readonly string[];
  /** Takes the fault away. Resolves when nothing is broken on purpose any more. */
  readonly heal: () => Promise<void> | void;
}

/** One way in which a part, or a line between two parts, fails. */
export interface Fault {
  readonly name: string;
  /** One sentence for people. */
  readonly does: string;
  /** How long it lasts, in seconds: as `npm run chaos` does it, and in the tests. */
  readonly seconds: readonly [long: number, short: number];
  /** True: an API process, or a line to it, is hit, so that requests end without an answer. @default false */
  readonly breaksClients?: boolean;
  /** Without Temporal or workers the service goes on: the bounds of `auto` hold. @default false */
  readonly isBounded?: boolean;
  /** True: it runs in the tests too. @default false */
  readonly isShort?: boolean;
  /** True: only where it is asked for by name. @default false */
  readonly onlyByName?: boolean;
  /** Why this machine cannot do it; `undefined` = it can. */
  readonly missing?: (arena: Arena) => string | undefined;
  readonly inject: (stage: Stage) => Promise<Injected>;
}

/** A random one of some. */
export function pick<T>({ below }: Pick<Stage, 'below'>, all: readonly T[]): T {
  return all[below(all.length)] as T;
}

/** All processes of the service. */
export function everybody({ arena: { apis, workers } }: Stage): readonly Member[] {
  return [...apis, ...workers];
}
