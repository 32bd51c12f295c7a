import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { useDatabase } from '../harness/database.ts';
import type { ModelFleet } from '../../tools/mls-model/fleet.ts';
import { startModelFleet } from '../../tools/mls-model/fleet.ts';
import { renderModelReport, runModel } from '../../tools/mls-model/run.ts';

// This is the short form of `npm run mls-model`.
const given = process.env.PARLEY_MODEL_SEED;
const RUNS = [
  { seed: 1, devices: 4 },
  { seed: 2, devices: 6 },
].map(({ seed, devices }) => ({ seed: given === undefined ? seed : Number(given), devices }));

describe('MLS devices under a random schedule with crashes, lost states and killed processes', () => {
  const database = useDatabase();
  let fleet: ModelFleet | undefined;
  beforeAll(async () => {
    fleet = await startModelFleet({ databaseUrl: database().url, temporalAddress: inject('temporalAddress') });
  });
  afterAll(() => fleet?.stop());

  test.each(RUNS)(
    'all $devices devices have the same history and state at the end (seed $seed)',
    async (run) => {
      if (fleet === undefined) throw new Error('The fleet runs only while tests run');
      const report = await runModel(fleet, { ...run, steps: 40, width: 4 });
      expect(report.problems, renderModelReport(report)).toEqual([]);
    },
    180_000,
  );
});
