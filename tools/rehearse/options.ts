import { parseArgs } from 'node:util';
import { wholeNumber } from '../command-line.ts';

/** How much a rehearsal does. */
export interface RehearsalSize {
  readonly conversations: number;
  readonly streams: number;
  readonly perSecond: number;
  /** Length of each phase. */
  readonly phaseSeconds: number;
}

export const USAGE = `npm run rehearse -- [--phase SECONDS] [--rate N] [--conversations N] [--streams N] [--seed N]

Starts a service of its own on the direct path, moves it to workflows in the phases 1, 10, 50 and 100 % under load, and goes back.
It prints how long the way back took, and exits with 1 when a request failed or anything was lost.`;

const STANDARD: RehearsalSize = { conversations: 300, streams: 100, perSecond: 100, phaseSeconds: 30 };
/** A size that fits into the time of `npm test`. */
export const SHORT: RehearsalSize = { conversations: 40, streams: 20, perSecond: 25, phaseSeconds: 1.5 };

/** @throws Error that names the argument that is wrong */
export function rehearsalOptions(
  args: readonly string[],
): RehearsalSize & { readonly seed: number; readonly help: boolean } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      phase: text,
      rate: text,
      conversations: text,
      streams: text,
      seed: text,
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return {
    phaseSeconds: wholeNumber(values.phase, STANDARD.phaseSeconds),
    perSecond: wholeNumber(values.rate, STANDARD.perSecond),
    conversations: wholeNumber(values.conversations, STANDARD.conversations),
    streams: wholeNumber(values.streams, STANDARD.streams),
    seed: wholeNumber(values.seed, 1 + (Date.now() % 1_000_000)),
    help: values.help,
  };
}
