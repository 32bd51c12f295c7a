import type { BenchCase } from './case.ts';
import type { Contender } from './contender.ts';
import type { Measurement } from './measurement.ts';
import type { BenchOptions } from './options.ts';
import { countBatches, workflowShare } from './path-share.ts';
import type { Messenger } from './world.ts';

/** Runs the contenders in turn: A B C D, A B C D, .. A disturbance of the machine then affects all of them. */
export async function runCase(
  one: BenchCase,
  running: readonly { readonly contender: Contender; readonly messenger: Messenger }[],
  { repeats, warmUpMs, measureMs }: Pick<BenchOptions, 'repeats' | 'warmUpMs' | 'measureMs'>,
  say: (line: string) => void,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (let repeat = 1; repeat <= repeats; repeat++) {
    say(`${one.name}: ${one.about}${repeats === 1 ? '' : ` (${repeat} of ${repeats})`}`);
    for (const { contender, messenger } of running) {
      if (one.only?.includes(contender.name) === false) continue;
      const before = await countBatches(contender);
      const measured = await one.run({ contender, messenger, warmUpMs, measureMs });
      const share = workflowShare(before, await countBatches(contender));
      measurements.push(...measured.map((each) => withShare(each, share)));
    }
  }
  return measurements;
}

function withShare(measurement: Measurement, share: number | undefined): Measurement {
  return share === undefined ? measurement : { ...measurement, values: { ...measurement.values, share } };
}
