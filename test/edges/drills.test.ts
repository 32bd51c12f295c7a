import { describe, expect, it } from 'vitest';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { DRILLS } from '../../tools/observe/drills/all.ts';
import { runDrills } from '../../tools/observe/drills/run.ts';
import { print } from '../harness/print.ts';

const binary = edgeTool('prometheus');
// A failure prints its seed.
const SEED = 1 + (Date.now() % 1_000_000);

// The short form of `npm run drills`.
describe.skipIf(binary === undefined)('alerts', () => {
  it('keep silent without a fault, fire by real faults, and end with them', async () => {
    const drills = DRILLS.filter(({ isShort = false }) => isShort);
    print(`seed ${SEED}`);
    const report = await runDrills({ drills, binary: binary ?? '', seed: SEED, say: print });
    expect(report.leftOut).toEqual([]);
    expect(report.falseAlarms).toEqual([]);
    for (const { drill, fired, stayed } of report.results) {
      const silent = [...fired].filter(([, after]) => after === undefined).map(([alert]) => alert);
      expect({ drill, silent, stayed }).toEqual({ drill, silent: [], stayed: [] });
    }
    expect(report.results.map(({ drill }) => drill)).toEqual(drills.map(({ name }) => name));
  });
});
