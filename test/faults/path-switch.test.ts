import { expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { useFaults } from './faults.ts';
import { pick } from './pick.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, startLoad } from './load.ts';

const later = useFaults();
const EVERY_MS = 200;

test('all invariants hold while operators switch the path five times a second, workers are killed, and two APIs and two workers are at work (invariant 9)', async () => {
  const { service, database } = await startServiceOnDatabase(later, { apis: 2, workers: 2 });
  const load = await startLoad({ urls: service.urls, token: service.token, conversations: 4, users: 8 });
  let switches = 0;
  const troubles: unknown[] = [];
  const timer = setInterval(() => {
    const path = pick(['workflow', 'direct'] as const);
    const rollout = pick([0, 50, 100]);
    load
      .client('operator')
      .admin.setPath({ path, rollout })
      .then(
        () => switches++,
        (error: unknown) => troubles.push(error),
      );
  }, EVERY_MS);
  later('timer', () => clearInterval(timer));
  for (let kill = 0; kill < 2; kill++) {
    const { length: known } = load.successes;
    const before = switches;
    await waitUntil(() => load.successes.length > known + 500 && switches > before + 15, {
      what: 'the paths were switched under load',
      timeoutMs: 100_000,
    });
    await service.workers.find((worker) => worker.isRunning())?.kill9();
    await service.addWorker();
  }
  clearInterval(timer);
  await load.stop();
  print(`${switches} switches of the path, 2 workers killed: ${load.successes.length} requests succeeded`);
  expect(troubles).toEqual([]);
  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  await expectNothingLost(load, database.pool, checkInvariants);
});
