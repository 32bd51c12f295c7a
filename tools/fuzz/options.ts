import { parseArgs } from 'node:util';

/** How much is tried; everything else follows from the seed. */
export interface FuzzOptions {
  /** Requests made from the OpenAPI document. */
  readonly requests: number;
  /** Mutated MLS messages. */
  readonly frames: number;
  readonly seed: number;
}

export const USAGE = 'npm run fuzz -- [--requests N] [--frames N] [--seed N]';

/** What `npm test` has time for. */
const SHORT = { requests: 4000, frames: 3000 } as const;
const LONG = { requests: 100_000, frames: 100_000 } as const;
/** Of `npm test`: it is to fail for changes of the code, not for its luck. */
const FIXED_SEED = 20_240_817;

/** Names of the variables by which the options reach the tests. */
const VARIABLES = { requests: 'FUZZ_REQUESTS', frames: 'FUZZ_FRAMES', seed: 'FUZZ_SEED' } as const;

/** @throws Error that says what cannot be understood */
export function parseFuzzOptions(args: readonly string[]): FuzzOptions {
  const option = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...args], options: { requests: option, frames: option, seed: option } });
  return {
    requests: whole(values.requests, LONG.requests),
    frames: whole(values.frames, LONG.frames),
    seed: whole(values.seed, 1 + (Date.now() % 1_000_000)),
  };
}

/** The options of this run of the tests. */
export function fuzzOptions(env: NodeJS.ProcessEnv = process.env): FuzzOptions {
  return {
    requests: whole(env[VARIABLES.requests], SHORT.requests),
    frames: whole(env[VARIABLES.frames], SHORT.frames),
    seed: whole(env[VARIABLES.seed], FIXED_SEED),
  };
}

/** The environment that gives tests these options. */
export function environmentOf(options: FuzzOptions): Record<string, string> {
  return Object.fromEntries(
    (Object.keys(VARIABLES) as (keyof FuzzOptions)[]).map((name) => [VARIABLES[name], String(options[name])]),
  );
}

function whole(given: string | undefined, standard: number): number {
  if (given === undefined) return standard;
  const number = Number(given);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`${given} is not a whole number above 0.`);
  return number;
}
