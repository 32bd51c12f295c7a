import { makeRandom } from '../load/random.ts';
import type { Fault } from './fault.ts';
import type { Trial } from './trial.ts';

/** A fault lasts between these shares of its time. */
const SHORTEST = 0.7;
const LONGEST = 1.3;
const CALM_MS = 2500;
const SHORT_CALM_MS = 500;

/** The trials of a seed, without end: every fault once in a random order, then all again in another. */
export function* makeSchedule(seed: number, faults: readonly Fault[], isShort: boolean): Generator<Trial, never, void> {
  const random = makeRandom(seed);
  for (;;) {
    const order = faults.map((fault) => ({ fault, place: random() })).sort((a, b) => a.place - b.place);
    for (const { fault } of order) {
      const [long, short] = fault.seconds;
      const factor = isShort ? 1 : SHORTEST + (LONGEST - SHORTEST) * random();
      yield {
        fault,
        lastsMs: (isShort ? short : long) * 1000 * factor,
        calmMs: isShort ? SHORT_CALM_MS : CALM_MS,
      };
    }
  }
}
