import { parseArgs } from 'node:util';
import { wholeNumber } from '../command-line.ts';

/** The amount of fuzzing. Everything else follows from the seed. */
export interface FuzzOptions {
  /** Number of requests made from the OpenAPI document. */
  readonly requests: number;
  /** Number of damaged MLS messages. */
  readonly frames: number;
  readonly seed: number;
}

export const USAGE = 'npm run fuzz -- [--requests N] [--frames N] [--seed N]';

/** Amounts that fit into the time of `npm test`. */
const SHORT = { requests: 6000, frames: 3000 } as const;
const LONG = { requests: 100_000, frames: 100_000 } as const;
/** Seed of `npm test`, which must fail because of a change of the code and not by chance. */
const FIXED_SEED = 20_240_817;

/** Names of the environment variables that pass the options to the tests. */
const VARIABLES = { requests: 'FUZZ_REQUESTS', frames: 'FUZZ_FRAMES', seed: 'FUZZ_SEED' } as const;

/** @throws Error that names the argument that is wrong */
export function parseFuzzOptions(args: readonly string[]): FuzzOptions {
  const option = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...args], options: { requests: option, frames: option, seed: option } });
  return {
    requests: wholeNumber(values.requests, LONG.requests),
    frames: wholeNumber(values.frames, LONG.frames),
    seed: wholeNumber(values.seed, 1 + (Date.now() % 1_000_000)),
  };
}

/** The options of this run of the tests. */
export function fuzzOptions(env: NodeJS.ProcessEnv = process.env): FuzzOptions {
  return {
    requests: wholeNumber(env[VARIABLES.requests], SHORT.requests),
    frames: wholeNumber(env[VARIABLES.frames], SHORT.frames),
    seed: wholeNumber(env[VARIABLES.seed], FIXED_SEED),
  };
}

/** The environment variables that pass these options to the tests. */
export function environmentOf(options: FuzzOptions): Record<string, string> {
  return Object.fromEntries(
    (Object.keys(VARIABLES) as (keyof FuzzOptions)[]).map((name) => [VARIABLES[name], String(options[name])]),
  );
}
