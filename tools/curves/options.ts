import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../process/package-root.ts';
import { chooseNames, wholeNumber } from '../command-line.ts';
import { CASES, SHARDS } from './cases.ts';
import type { Turns } from './in-turns.ts';

export interface CurveOptions {
  readonly quick: boolean;
  readonly only: readonly string[];
  readonly turns: Turns;
  /** Writes the page and the pictures of the repository. */
  readonly docs: boolean;
  /** Folder for the numbers and the pictures. */
  readonly out: string;
}

export const USAGE = `npm run curves -- [--only a,b] [--quick] [--shards] [--docs] [--rounds N] [--out FOLDER]
curves: ${[...CASES.keys()].join(', ')}; with --shards (needs Go) also ${SHARDS.name}`;

const LONG: Turns = { rounds: 6, sliceMs: 500 };
const QUICK: Turns = { rounds: 2, sliceMs: 200 };

/** @throws Error that names the argument that is wrong */
export function curveOptions(args: readonly string[]): CurveOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      shards: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      out: { type: 'string' },
    },
  });
  const { quick, shards, docs } = values;
  const standard = [...CASES.keys(), ...(shards ? [SHARDS.name] : [])];
  const turns = quick ? QUICK : LONG;
  const stamp = new Date().toISOString().replaceAll(':', '-').slice(0, 19);
  if (docs && quick) throw new Error('The numbers of --quick are too rough for --docs.');
  return {
    quick,
    only: chooseNames(values.only, [...CASES.keys(), SHARDS.name], standard),
    turns: { ...turns, rounds: wholeNumber(values.rounds, turns.rounds) },
    docs,
    out: path.resolve(values.out ?? path.join(packageRoot(), 'bench-results', `curves-${stamp}`)),
  };
}
