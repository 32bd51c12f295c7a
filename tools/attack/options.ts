import { parseArgs } from 'node:util';
import { chooseNames, wholeNumber } from '../command-line.ts';
import { CASES } from './cases.ts';

export interface AttackOptions {
  /** Names of cases, in the order in which they run. */
  readonly only: readonly string[];
  /** True: a bystander that waits is a fault. False on a machine that others use as well. */
  readonly judgeLatency: boolean;
  /** Only prints the names of the cases and what they do. */
  readonly list: boolean;
  /** Bystanders alone run for this time first, to show what the machine can do. In milliseconds. */
  readonly baselineMs: number;
}

export const USAGE = 'npm run attack -- [--only name,name] [--no-latency] [--list] [--baseline SECONDS]';

const BASELINE_S = 5;

/** @throws Error that names the argument that is wrong */
export function attackOptions(args: readonly string[]): AttackOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      'no-latency': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      baseline: { type: 'string' },
    },
  });
  return {
    only: chooseNames(
      values.only,
      CASES.map(({ name }) => name),
    ),
    judgeLatency: !values['no-latency'],
    list: values.list,
    baselineMs: wholeNumber(values.baseline, BASELINE_S) * 1000,
  };
}
