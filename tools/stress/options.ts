import { parseArgs } from 'node:util';
import { chooseNames, wholeNumber } from '../command-line.ts';

const RUNS = ['a', 'b'] as const;
export type RunName = (typeof RUNS)[number];

export interface StressOptions {
  readonly only: readonly RunName[];
  readonly seed: number;
  readonly many: { readonly conversations: number; readonly messages: number };
  readonly steady: { readonly conversations: number; readonly seconds: number };
}

export const USAGE =
  'npm run stress -- [--only a,b] [--short] [--seed N] [--seconds N] [--conversations N] [--messages N]';

/** Amounts of `npm run stress`. */
export const LONG = {
  many: { conversations: 1000, messages: 100 },
  steady: { conversations: 200, seconds: 600 },
} as const;
/** Amounts that fit into the time of `npm test`. */
export const SHORT = {
  many: { conversations: 50, messages: 20 },
  steady: { conversations: 50, seconds: 8 },
} as const;

/** @throws Error that names the argument that is wrong */
export function stressOptions(args: readonly string[]): StressOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      seed: { type: 'string' },
      seconds: { type: 'string' },
      conversations: { type: 'string' },
      messages: { type: 'string' },
    },
  });
  const { many, steady } = values.short ? SHORT : LONG;
  return {
    only: chooseNames(values.only, RUNS),
    seed: wholeNumber(values.seed, 1 + (Date.now() % 1_000_000)),
    many: {
      conversations: wholeNumber(values.conversations, many.conversations),
      messages: wholeNumber(values.messages, many.messages),
    },
    steady: {
      conversations: wholeNumber(values.conversations, steady.conversations),
      seconds: wholeNumber(values.seconds, steady.seconds),
    },
  };
}
