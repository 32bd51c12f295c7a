import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../process/package-root.ts';
import { chooseNames } from '../command-line.ts';
import { CASES } from './cases.ts';
import { CONTENDERS, type ContenderName } from './contender.ts';

/** The case that `memory.ts` runs. */
export const MEMORY_CASE = 'memory';

/** The case that `streams.ts` runs. */
export const STREAMS_CASE = 'streams-5000';
const EXTRA_CASES = [MEMORY_CASE, STREAMS_CASE];

export interface BenchOptions {
  readonly quick: boolean;
  readonly cases: readonly string[];
  readonly contenders: readonly ContenderName[];
  readonly repeats: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Conversations of the memory case. */
  readonly cached: number;
  /** Open streams of the streams case. */
  readonly streams: number;
  readonly out: string;
  readonly profileDir: string | undefined;
}

export const USAGE = `npm run bench -- [--quick] [--cases a,b] [--contenders a,b] [--repeats N] [--seconds N] [--out FILE] [--profile FOLDER]
cases: ${[...CASES.map(({ name }) => name), ...EXTRA_CASES].join(', ')}
contenders: ${CONTENDERS.join(', ')}`;

/** @throws Error that names the argument that is wrong */
export function benchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      cases: { type: 'string' },
      contenders: { type: 'string' },
      repeats: { type: 'string' },
      seconds: { type: 'string' },
      out: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const { quick } = values;
  const standard = [...CASES.filter(({ isQuick }) => isQuick || !quick).map(({ name }) => name), ...EXTRA_CASES];
  const stamp = new Date().toISOString().replaceAll(':', '-').slice(0, 19);
  return {
    quick,
    cases: chooseNames(values.cases, [...CASES.map(({ name }) => name), ...EXTRA_CASES], standard),
    contenders: chooseNames(values.contenders, CONTENDERS),
    repeats: positive(values.repeats, quick ? 1 : 3),
    warmUpMs: quick ? 400 : 3000,
    measureMs: positive(values.seconds, quick ? 1 : 10) * 1000,
    streams: quick ? 1000 : 5000,
    cached: quick ? 300 : 1000,
    out: path.resolve(values.out ?? path.join(packageRoot(), 'bench-results', `${stamp}.json`)),
    profileDir: values.profile === undefined ? undefined : path.resolve(values.profile),
  };
}

function positive(given: string | undefined, standard: number): number {
  if (given === undefined) return standard;
  const number = Number(given);
  if (!(number > 0)) throw new Error(`${given} is not a number above 0.`);
  return number;
}
