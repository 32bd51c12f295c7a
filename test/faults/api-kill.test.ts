import { expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { useFaults } from './faults.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useFaults();

test('clients of a killed API process go on through the other one with the same ids: nothing is lost or doubled (invariants 1 to 3, 7)', async () => {
  const { service, database } = await startServiceOnDatabase(later, { apis: 2, workers: 1 });
  const load = await startLoad({ urls: service.urls, token: service.token, conversations: 3, users: 8 });
  for (let round = 0; round < 3; round++) {
    await untilMore(load, 200);
    const victim = service.apis.find((api) => api.isRunning());
    const killedAt = performance.now();
    await victim?.kill9();
    await untilBack(load, killedAt);
    print(`API process killed: ${describeRecovery(load, killedAt)}`);
    await service.addApi();
  }
  await load.stop();
  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  // Only requests in flight failed.
  expect(load.failures.filter(({ status }) => status !== undefined)).toEqual([]);
  await expectNothingLost(load, database.pool, checkInvariants);
});
