import { describe, expect, test } from 'vitest';
import { useService } from '../harness/service.ts';
import { renderModelReport, runModel } from '../../tools/mls-model/run.ts';

// This is the short form of `npm run mls-model`.
const given = process.env.PARLEY_MODEL_SEED;
const RUNS = [
  { seed: 1, devices: 4 },
  { seed: 2, devices: 6 },
].map(({ seed, devices }) => ({ seed: given === undefined ? seed : Number(given), devices }));

describe('MLS devices under a random schedule, with crashes, lost states and processes that are killed', () => {
  const service = useService();

  test.each(RUNS)(
    'all $devices devices have the same history and state at the end (seed $seed)',
    async (run) => {
      const report = await runModel(service(), { ...run, steps: 40, width: 4 });
      expect(report.problems, renderModelReport(report)).toEqual([]);
    },
    180_000,
  );
});
