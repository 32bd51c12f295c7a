import { expect, test } from 'vitest';
import { startOwnTemporal } from '../../tools/chaos/arena/restartable.ts';
import { startLoad } from '../../tools/chaos/load/load.ts';
import { judge } from '../../tools/chaos/verdict/verdict.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { failedTries, untilMore, useFaults } from './faults.ts';

const later = useFaults();

test('no request fails on the direct path while Temporal is down or when it comes back (invariant 9)', async () => {
  const folder = temporaryFolder('temporal-away');
  later('folder', folder.remove);
  const temporal = await startOwnTemporal(folder.path);
  later('temporal', temporal.kill);
  const { service, database } = await startServiceOnDatabase(later, {
    apis: 2,
    workers: 1,
    temporalAddress: temporal.address,
    env: { CONVERSATION_PATH: 'direct' },
  });
  const size = { conversations: 3, users: 6, perSecond: 100, seed: 1, deadlineMs: 10_000 };
  const load = await startLoad({ ...size, urls: service.urls });
  await untilMore(load, 200);
  await temporal.kill();
  await untilMore(load, 200);
  await temporal.start();
  await untilMore(load, 200);
  await load.stop();
  print(`Temporal killed on the direct path: ${load.tries.all.length} requests`);
  expect(failedTries(load)).toEqual([]);
  expect((await judge(load, database.pool)).problems).toEqual([]);
});
