import { below, makeRandom } from '../load/random.ts';

/** Kinds of actions, each as often as it is listed. An action that does not apply is replaced by a message. */
const KINDS = [
  ...Array<'send'>(9).fill('send'),
  ...Array<'update'>(4).fill('update'),
  'invite',
  'invite',
  'invite',
  'external',
  'external',
  'outsider',
  'leave',
  'remove',
  'propose-remove',
  'propose-update',
  'disconnect',
  'disconnect',
  'connect',
  'connect',
  'crash',
  'crash',
  'lose',
  'resync',
] as const;
/** A disturbance happens on average once in so many rounds. */
const TROUBLE_EVERY = 12;
const MAX_DELAY_MS = 60;

export type ActionKind = (typeof KINDS)[number];

export interface Action {
  readonly kind: ActionKind;
  /** Number of the acting device, and of the device that the action is about. */
  readonly actor: number;
  readonly target: number;
  /** Time after the start of the round, in milliseconds. */
  readonly delayMs: number;
}

export type Trouble =
  | { readonly kind: 'kill'; readonly what: 'api' | 'worker'; readonly place: number }
  | { readonly kind: 'path'; readonly path: 'workflow' | 'direct' };

/** Actions that happen at the same time. */
export interface Round {
  readonly actions: readonly Action[];
  readonly trouble?: Trouble;
}

export interface Schedule {
  readonly externalJoin: 'member' | 'anyone';
  readonly rounds: readonly Round[];
}

/** The schedule of a seed. It depends only on these numbers. */
export function makeSchedule(seed: number, options: { devices: number; steps: number; width: number }): Schedule {
  const random = makeRandom(seed);
  const externalJoin = random() < 0.5 ? 'anyone' : 'member';
  const rounds: Round[] = [];
  for (let steps = 0; steps < options.steps;) {
    const count = 1 + below(random, options.width);
    const actions = Array.from({ length: count }, (): Action => ({
      kind: KINDS[below(random, KINDS.length)] ?? 'send',
      actor: below(random, options.devices),
      target: below(random, options.devices),
      delayMs: below(random, MAX_DELAY_MS),
    }));
    steps += count;
    const place = below(random, 2);
    const choice = below(random, 4);
    const isTroubled = below(random, TROUBLE_EVERY) === 0;
    const trouble: Trouble =
      choice < 2
        ? { kind: 'kill', what: choice === 0 ? 'api' : 'worker', place }
        : { kind: 'path', path: choice === 2 ? 'direct' : 'workflow' };
    rounds.push({ actions, ...(isTroubled ? { trouble } : {}) });
  }
  return { externalJoin, rounds };
}
