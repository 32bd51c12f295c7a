import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { CASES, INTEROP_ENV, runCase } from '../../tools/interop/cases.ts';
import { Program } from '../../tools/interop/program.ts';
import { renderWalk, runWalk, SUITES } from '../../tools/interop/walk.ts';
import { useDatabase } from '../harness/database.ts';
import { useService } from '../harness/service.ts';

const built = edgeTool('parley-interop') ?? '';
const STEPS = 25;

// The short form of `npm run interop`.
describe.skipIf(built === '')('ts-mls, OpenMLS and mls-rs in one group', () => {
  const database = useDatabase();
  const service = useService({ apis: 1, workers: 1, env: INTEROP_ENV }, database);
  let program: Program;
  beforeAll(() => {
    program = new Program(built);
  });
  afterAll(() => {
    program.close();
  });

  test.each([...CASES.keys()])('%s', async (name) => {
    expect(await runCase(name, { service: service(), program })).toStrictEqual([]);
  });

  test.each(SUITES.get('ts-mls') ?? [])('random steps with cipher suite %i', async (cipherSuite) => {
    // `npm run interop` takes others.
    const seed = 100 + cipherSuite;
    const report = await runWalk(service(), program, { seed, steps: STEPS, cipherSuite });
    expect(report.problems, renderWalk(report)).toStrictEqual([]);
  });
});
