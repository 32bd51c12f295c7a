import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { startBalancer } from '../../tools/harness/balancer.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { otherBuild } from '../../tools/harness/other-build.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { useFolder } from '../harness/folder.ts';
import { findLost, sendThrough } from '../harness/send-through.ts';
import { startServiceOnDatabase } from '../harness/service.ts';

vi.setConfig({ testTimeout: 180_000 });

const later = useCleanup();
const folder = useFolder();
const SENDERS = 6;

/** A release whose workflow makes one more timer, for new runs only, and whose schema has one more column. */
const NEXT = {
  workflow:
    "if ((0,_temporalio_workflow__WEBPACK_IMPORTED_MODULE_0__.patched)('next-release')) setTimeout(() => undefined, 3_600_000);",
  migration: 'alter table conversation add column next_release boolean;',
};

/** Runs `npm run migrate` of a build. */
async function migrate(root: string, databaseUrl: string): Promise<void> {
  const script = path.join(root, 'dist', 'ops', 'migrate.js');
  const child = spawn(process.execPath, [script], { env: { DATABASE_URL: databaseUrl }, stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).toBe(0);
}

test('a release is deployed under load as docs/how-to/upgrade.md says: no request fails, no run fails, nothing is lost', async () => {
  const { service, database } = await startServiceOnDatabase(later, {
    apis: 2,
    workers: 2,
    env: { CONVERSATION_PATH: 'workflow', SHUTDOWN_DELAY_MS: '1500' },
  });
  const balancer = await startBalancer(service.urls, { pollMs: 500 });
  later('balancer', balancer.close);
  const load = await sendThrough(balancer.url, () => service.token('alice'), SENDERS);
  const goesOn = async (): Promise<void> => {
    const before = load.answered();
    await waitUntil(() => load.answered() > before + 3 * SENDERS, { what: 'requests are answered' });
  };
  await goesOn();

  const root = otherBuild(folder, NEXT);
  await migrate(root, database.url);
  await goesOn();
  for (const old of [...service.workers]) {
    await service.addWorker({}, root);
    expect(await old.stop()).toBe(0);
    await goesOn();
  }
  for (const old of [...service.apis]) {
    const { url } = await service.addApi({}, root);
    await waitUntil(() => balancer.targets().includes(url), { what: 'the balancer knows the new process' });
    expect(await old.stop()).toBe(0);
    await goesOn();
  }
  // A run of the new build, which has the new timer, goes on as well.
  const [one = ''] = load.conversations;
  await service.clientOf('operator', { api: 2 }).admin.restart(one);
  await goesOn();

  const { failures, acknowledged } = await load.stop();
  expect(failures).toEqual([]);
  expect(balancer.refused()).toBe(0);
  expect(await findLost(service.pool, acknowledged)).toEqual([]);
  for (const conversation of load.conversations) await checkInvariants(service.pool, conversation);
  const failed = `TaskQueue = '${service.taskQueue}' and ExecutionStatus = 'Failed'`;
  expect((await service.temporal.workflow.count(failed)).count).toBe(0);
});
