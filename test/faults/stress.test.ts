import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { useDatabase } from '../harness/database.ts';
import { SHORT } from '../../tools/stress/options.ts';
import { runMany, runSteady } from '../../tools/stress/runs.ts';
import type { StressService } from '../../tools/stress/stress-service.ts';
import { startStressService } from '../../tools/stress/stress-service.ts';

// The short form of `npm run stress`. A failure prints its seed.
const SEED = 1;

describe('under load', () => {
  const database = useDatabase();
  let service: StressService | undefined;
  beforeAll(async () => {
    service = await startStressService({ databaseUrl: database().url, temporalAddress: inject('temporalAddress') });
  });
  afterAll(() => service?.stop());
  const running = (): StressService => {
    if (service === undefined) throw new Error('The service runs only while tests run');
    return service;
  };

  it('keeps every message of many conversations, once and in order', async () => {
    const report = await runMany(running(), SHORT.many);
    expect(report.problems).toEqual([]);
    expect(report.acknowledged).toBe(SHORT.many.conversations * SHORT.many.messages);
  });

  it('keeps up with 100 requests a second', async () => {
    const report = await runSteady(running(), { ...SHORT.steady, seed: SEED });
    expect(report.problems).toEqual([]);
    expect(report.acknowledged).toBe(SHORT.steady.seconds * 100);
  });
});
