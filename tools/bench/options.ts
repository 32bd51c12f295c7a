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

/** The case that `kill.ts` runs. */
export const KILL_CASE = 'kill';
const EXTRA_CASES = [MEMORY_CASE, STREAMS_CASE, KILL_CASE];

/** What `--peers` runs: the cases in which every contender does the same job. */
const PEER_CASES = ['serial', 'spread-64', 'hot-256', 'open-1000', 'raced-commits', KILL_CASE];
/** Cases that only `--peers` or `--cases` runs. */
const ONLY_NAMED = ['raced-commits', KILL_CASE];
/** Contenders that only `--peers` or `--contenders` starts. */
const PEERS: readonly ContenderName[] = ['restate', 'graphile-worker', 'actor'];

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

export const USAGE = `npm run bench -- [--peers] [--quick] [--cases a,b] [--contenders a,b] [--repeats N] [--seconds N] [--out FILE] [--profile FOLDER]
--peers: the same job beside other products, cases ${PEER_CASES.join(', ')}
cases: ${[...CASES.map(({ name }) => name), ...EXTRA_CASES].join(', ')}
contenders: ${CONTENDERS.join(', ')}`;

/** @throws Error that names the argument that is wrong */
export function benchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: false },
      cases: { type: 'string' },
      contenders: { type: 'string' },
      repeats: { type: 'string' },
      seconds: { type: 'string' },
      out: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const { quick, peers } = values;
  const known = [...CASES.map(({ name }) => name), ...EXTRA_CASES];
  const slow = CASES.filter(({ isQuick }) => quick && !isQuick).map(({ name }) => name);
  const standard = peers ? PEER_CASES : known.filter((name) => !slow.includes(name) && !ONLY_NAMED.includes(name));
  const stamp = new Date().toISOString().replaceAll(':', '-').slice(0, 19);
  return {
    quick,
    cases: chooseNames(values.cases, known, standard),
    contenders: chooseNames(
      values.contenders,
      CONTENDERS,
      CONTENDERS.filter((name) => peers || !PEERS.includes(name)),
    ),
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
