import fc from 'fast-check';
import { beforeAll, test, afterAll } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { attempts } from './requests.ts';
import { type World, startWorld } from './world.ts';
const database = useDatabase();
let world: World;
beforeAll(async () => {
  world = await startWorld(database().pool);
});
afterAll(() => world.stop());
test('p', () => {
  for (const o of world.api.operations) {
    const t = performance.now();
    const a = attempts(o, world);
    const t1 = performance.now();
    fc.sample(a, { numRuns: 8, seed: 1 });
    const t2 = performance.now();
    if (t2 - t > 20) console.log(o.name, (t1 - t).toFixed(0), (t2 - t1).toFixed(0));
  }
});
