import { expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { report, startFleetOnDatabase, useCleanup } from './fleet.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useCleanup();

for (const second of [true, false]) {
  const how = second ? 'while a second one runs' : 'when it is the only one and starts again';
  test(`SIGKILL of a worker under load loses nothing and doubles nothing, ${how} (invariants 1 to 3, 6, 7 and 9)`, async () => {
    const { fleet, database } = await startFleetOnDatabase(later, { apis: 2, workers: second ? 2 : 1 });
    const load = await startLoad({ urls: fleet.urls, token: fleet.token, conversations: 4, users: 8 });
    for (let round = 0; round < 2; round++) {
      await untilMore(load, 200);
      const victim = fleet.workers.find((worker) => worker.isRunning());
      const killedAt = performance.now();
      await victim?.kill9();
      const replacement = fleet.addWorker();
      await untilBack(load, killedAt);
      report(`worker killed ${how}: ${describeRecovery(load, killedAt)}`);
      await replacement;
    }
    await load.stop();
    expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
    await expectNothingLost(load, database.pool, checkInvariants);
  });
}
