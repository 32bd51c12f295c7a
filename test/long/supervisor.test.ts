import { expect, test, vi } from 'vitest';
import { createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import { QUICK, strand } from '../../tools/harness/supervisor.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import { useService } from '../harness/service.ts';

vi.setConfig({ testTimeout: 180_000 });

/** With real processes: the API sees the trouble, the worker process hosts the supervisor. */
const service = useService({ apis: 1, workers: 1 });

interface Report {
  readonly running: boolean;
  readonly silentMs?: number;
  readonly troubles: readonly { conversation: string; sign: string }[];
  readonly actions: readonly { conversation?: string; action: string; reason: string }[];
}

async function asOperator(method: 'GET' | 'PUT', body?: unknown): Promise<Report> {
  const token = await service().token('operator', { operator: true });
  const response = await fetch(`${service().urls()[0] ?? ''}/v1/admin/supervisor`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Report;
}

test('what clients notice of a wedged conversation reaches the supervisor, which restarts it and nobody else', async () => {
  await waitUntil(async () => (await asOperator('GET')).running, { what: 'the supervisor signs' });
  await asOperator('PUT', QUICK);
  const { temporal } = service();
  const alice = service().clientOf('alice');
  const [wedged, well] = [await createOpaque(alice), await createOpaque(alice)];
  await alice.send(wedged, newMessage());
  await alice.send(well, newMessage());
  const runOf = async (id: string): Promise<string> =>
    (await temporal.workflow.getHandle(conversationWorkflowId(id)).describe()).runId;
  const before = await runOf(well);
  await strand(temporal, wedged);
  const stranded = await runOf(wedged);

  // No request fails: `auto` decides it directly. But the API reports that the workflow does not answer.
  await waitUntil(
    async () => {
      await alice.send(wedged, newMessage());
      await alice.send(well, newMessage());
      return (await runOf(wedged)) !== stranded;
    },
    { what: 'the supervisor restarts it', everyMs: 200, timeoutMs: 90_000 },
  );
  const { actions } = await asOperator('GET');
  expect(actions.filter(({ conversation }) => conversation === wedged)).toMatchObject([
    { action: 'restart', reason: 'timeouts' },
  ]);
  expect(actions.filter(({ conversation }) => conversation === well)).toEqual([]);
  expect(await runOf(well)).toBe(before);
});

test('its absence is seen, and it comes back with a worker', async () => {
  const silence = async (): Promise<number> => {
    const text = await (await fetch(`${service().urls()[0] ?? ''}/metrics`)).text();
    return Number(/^parley_supervisor_silent_seconds (.+)$/m.exec(text)?.[1]);
  };
  await waitUntil(async () => (await silence()) < 5, { what: 'it signs' });
  await service().workers[0]?.kill9();
  await waitUntil(async () => (await silence()) > 5, { what: 'its silence is seen' });
  await service().replace('worker', 0);
  await waitUntil(async () => (await silence()) < 5, { what: 'it signs again' });
  expect((await asOperator('GET')).running).toBe(true);
});
