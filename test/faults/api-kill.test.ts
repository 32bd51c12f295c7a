import { expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { report, startFleetOnDatabase, useCleanup } from './fleet.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useCleanup();

test('clients of a killed API process repeat requests at the other one with the same ids, and nothing is lost or doubled (invariants 1 to 3, 7)', async () => {
  const { fleet, database } = await startFleetOnDatabase(later, { apis: 2, workers: 1 });
  const load = await startLoad({ urls: fleet.urls, token: fleet.token, conversations: 3, users: 8 });
  for (let round = 0; round < 3; round++) {
    await untilMore(load, 200);
    const victim = fleet.apis.find((api) => api.isRunning());
    const killedAt = performance.now();
    await victim?.kill9();
    await untilBack(load, killedAt);
    report(`API process killed: ${describeRecovery(load, killedAt)}`);
    await fleet.addApi();
  }
  await load.stop();
  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  // Only requests in flight failed.
  expect(load.failures.filter(({ status }) => status !== undefined)).toEqual([]);
  await expectNothingLost(load, database.pool, checkInvariants);
});
