import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../process/package-root.ts';
import { wholeNumber } from '../command-line.ts';

/** How much is done. */
export interface SoakSize {
  readonly conversations: number;
  readonly streams: number;
  readonly perSecond: number;
  readonly seconds: number;
  /** Time between two samples. */
  readonly everyMs: number;
}

export interface SoakOptions extends SoakSize {
  readonly seed: number;
  /** Writes the page and the picture of the repository. */
  readonly docs: boolean;
  /** Folder for the numbers and the picture. */
  readonly out: string;
}

export const USAGE = `npm run soak -- [--hours N | --minutes N | --seconds N] [--rate N] [--conversations N] [--streams N] [--every SECONDS] [--seed N] [--docs] [--out FOLDER]
Ctrl-C ends it early, with the report of what was measured.`;

/** Tokens last for a day, and streams end with their token. */
const MOST_SECONDS = 23 * 3600;
const STANDARD = { conversations: 1000, streams: 500, perSecond: 100, seconds: 600, everySeconds: 5 };
/** A size that fits into the time of `npm test`. */
export const SHORT: SoakSize = { conversations: 40, streams: 20, perSecond: 30, seconds: 8, everyMs: 500 };

/** @throws Error that names the argument that is wrong */
export function soakOptions(args: readonly string[]): SoakOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      hours: text,
      minutes: text,
      seconds: text,
      rate: text,
      conversations: text,
      streams: text,
      every: text,
      seed: text,
      docs: { type: 'boolean', default: false },
      out: text,
    },
  });
  const { hours, minutes, seconds } = values;
  if ([hours, minutes, seconds].filter((given) => given !== undefined).length > 1) {
    throw new Error('Give one of --hours, --minutes and --seconds.');
  }
  const wanted =
    hours === undefined
      ? minutes === undefined
        ? wholeNumber(seconds, STANDARD.seconds)
        : wholeNumber(minutes, 1) * 60
      : wholeNumber(hours, 1) * 3600;
  if (wanted > MOST_SECONDS) throw new Error(`A run lasts at most ${MOST_SECONDS / 3600} hours.`);
  const stamp = new Date().toISOString().replaceAll(':', '-').slice(0, 19);
  return {
    conversations: wholeNumber(values.conversations, STANDARD.conversations),
    streams: wholeNumber(values.streams, STANDARD.streams),
    perSecond: wholeNumber(values.rate, STANDARD.perSecond),
    seconds: wanted,
    everyMs: wholeNumber(values.every, STANDARD.everySeconds) * 1000,
    seed: wholeNumber(values.seed, 1 + (Date.now() % 1_000_000)),
    docs: values.docs,
    out: path.resolve(values.out ?? path.join(packageRoot(), 'bench-results', `soak-${stamp}`)),
  };
}
