import { expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { useFaults } from './faults.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useFaults();

for (const second of [true, false]) {
  const how = second ? 'while a second one runs' : 'when it is the only one and starts again';
  test(`SIGKILL of a worker under load loses nothing and doubles nothing, ${how} (invariants 1 to 3, 6, 7 and 9)`, async () => {
    const { service, database } = await startServiceOnDatabase(later, {
      apis: 2,
      workers: second ? 2 : 1,
      env: { CONVERSATION_PATH: 'workflow' },
    });
    const load = await startLoad({ urls: service.urls, token: service.token, conversations: 4, users: 8 });
    for (let round = 0; round < 2; round++) {
      await untilMore(load, 200);
      const victim = service.workers.find((worker) => worker.isRunning());
      const killedAt = performance.now();
      await victim?.kill9();
      const replacement = service.addWorker();
      await untilBack(load, killedAt);
      print(`worker killed ${how}: ${describeRecovery(load, killedAt)}`);
      await replacement;
    }
    await load.stop();
    expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
    await expectNothingLost(load, database.pool, checkInvariants);
  });
}
