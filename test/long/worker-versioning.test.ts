import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import type { ServiceProcess } from '../../tools/harness/processes.ts';
import { tryUntil, waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { startServiceOnDatabase } from '../harness/service.ts';

const later = useCleanup();

/** Batches that a worker decided. */
async function decidedBy({ url }: ServiceProcess): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^parley_batch_operations_count\{path="activity"\} (?<count>\d+)$/m.exec(text)?.groups?.count ?? 0);
}

test('with Worker Versioning, a running conversation is decided by the build that an operator made the current one', async () => {
  const deploymentName = `deployment-${randomUUID()}`;
  const { service } = await startServiceOnDatabase(later, {
    apis: 1,
    workers: 0,
    env: { CONVERSATION_PATH: 'workflow', WORKER_DEPLOYMENT: deploymentName },
  });
  const makeCurrent = (buildId: string): Promise<unknown> =>
    tryUntil(
      // Temporal knows a build when one of its workers has polled.
      () =>
        service.temporal.workflowService.setWorkerDeploymentCurrentVersion({
          namespace: 'default',
          deploymentName,
          buildId,
        }),
      { what: `build ${buildId} is the current one`, everyMs: 200 },
    );
  const one = await service.addWorker({ PARLEY_BUILD: 'one' });
  const two = await service.addWorker({ PARLEY_BUILD: 'two' });
  const alice = service.clientOf('alice');
  const conversation = await createOpaque(alice);
  /** Sends until a worker decides, and then a few times more. @returns what the other decided meanwhile */
  const decides = async (worker: ServiceProcess, other: ServiceProcess): Promise<number> => {
    const before = await decidedBy(worker);
    await waitUntil(
      async () => {
        await alice.send(conversation, newMessage());
        return (await decidedBy(worker)) > before;
      },
      { what: 'the current build decides' },
    );
    const start = await decidedBy(other);
    for (let i = 0; i < 5; i++) await alice.send(conversation, newMessage());
    return (await decidedBy(other)) - start;
  };

  await makeCurrent('one');
  expect(await decides(one, two)).toBe(0);
  expect(await decidedBy(two)).toBe(0);
  await makeCurrent('two');
  expect(await decides(two, one)).toBe(0);
  await makeCurrent('one');
  expect(await decides(one, two)).toBe(0);
  const { lastSeq } = await alice.conversation(conversation);
  const { entries } = await alice.log(conversation, { limit: 1000 });
  expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: lastSeq }, (_, i) => i + 1));
});
