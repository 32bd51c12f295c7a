import { expect, test } from 'vitest';
import { walk } from '../harness/honest-walk.ts';
import { useService } from '../harness/service.ts';

const service = useService({ apis: 2, workers: 1 });
/** Conversations that walk at the same time, each with its own users. */
const SEEDS = [1, 2, 3, 4];
/** Of each walk. `npm run honest-log` makes 10,000 in all, `npm run test:long` a fifth of them. */
const STEPS = Number(process.env.HONEST_STEPS ?? 500);
const LIMIT_MS = 60 * 60_000;

test(
  `no device of an honest service raises an alarm about its log in ${SEEDS.length * STEPS} random steps`,
  async () => {
    const walks = await Promise.all(SEEDS.map((seed) => walk(service(), { seed, steps: STEPS })));
    expect(walks.flatMap(({ alarms }) => alarms)).toEqual([]);
    for (const { heard, done, refused } of walks) {
      const seen = JSON.stringify([heard, done, refused].map((counts) => [...counts]));
      // The devices did look: a test without comparisons would pass too. Retention and joins leave some statements, about a tenth, with
      // nothing to compare them with; and what a device heard before it was removed is not counted.
      expect(heard.get('agreed'), seen).toBeGreaterThan(STEPS / 2);
      expect(heard.get('agreed'), seen).toBeGreaterThan(5 * (heard.get('unverified') ?? 0));
    }
    for (const kind of ['race', 'crash', 'restored client', 'remove', 'retention', 'reset']) {
      expect(
        walks.map(({ done }) => done.get(kind) ?? 0).reduce((sum, count) => sum + count),
        kind,
      ).toBeGreaterThan(0);
    }
  },
  LIMIT_MS,
);
