import { expect, test } from 'vitest';
import { walk } from '../harness/honest-walk.ts';
import { useService } from '../harness/service.ts';

const service = useService({ apis: 2, workers: 1 });
const STEPS = 10_000;
const LIMIT_MS = 45 * 60_000;

test(
  'no device of an honest service raises an alarm about its log in 10,000 random steps',
  async () => {
    const seen = await walk(service(), { seed: 1, steps: STEPS });
    expect(seen.alarms).toEqual([]);
    // The devices did look: a test without comparisons would pass too.
    expect(seen.heard.get('agreed')).toBeGreaterThan(STEPS / 2);
  },
  LIMIT_MS,
);
