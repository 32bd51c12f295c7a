import { parseArgs } from 'node:util';

/** How much a model run does; everything else follows from its seed. */
export interface ModelOptions {
  readonly seeds: readonly number[];
  /** Devices that there are at most. */
  readonly devices: number;
  readonly steps: number;
}

export const USAGE = 'npm run mls-model -- [--devices N] [--steps N] [--seeds N | --seed N]';

/** What `npm test` has time for. */
const SHORT: ModelOptions = { seeds: [11, 12], devices: 6, steps: 24 };
const LONG = { devices: 20, steps: 300, seeds: 10 } as const;
const VARIABLE = 'MLS_MODEL';

/** @throws Error that says what cannot be understood */
export function parseModelOptions(args: readonly string[]): ModelOptions {
  const option = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { devices: option, steps: option, seeds: option, seed: option },
  });
  const first = values.seed === undefined ? 1 + (Date.now() % 1_000_000) : whole(values.seed);
  const count = values.seed === undefined ? whole(values.seeds ?? String(LONG.seeds)) : 1;
  return {
    seeds: Array.from({ length: count }, (_, i) => first + i),
    devices: whole(values.devices ?? String(LONG.devices)),
    steps: whole(values.steps ?? String(LONG.steps)),
  };
}

/** Variables by which the options reach the tests. */
export function environmentOf(options: ModelOptions): Record<string, string> {
  return { [VARIABLE]: JSON.stringify(options) };
}

/** The options of this run of the tests. */
export function modelOptions(env: NodeJS.ProcessEnv = process.env): ModelOptions {
  const given = env[VARIABLE];
  return given === undefined ? SHORT : (JSON.parse(given) as ModelOptions);
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`${text} is not a whole number above 0`);
  return Number(text);
}
