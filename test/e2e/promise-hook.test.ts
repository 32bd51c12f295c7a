import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { toBase64Url } from '../../client/index.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { startServiceOnDatabase } from '../harness/service.ts';

vi.setConfig({ testTimeout: 120_000 });

const later = useCleanup();

/** Runs a conversation. @returns what the worker logs of its promise hook, and what the SDK answers to `__stack_trace` */
async function stackTraceWith(env: Readonly<Record<string, string>>): Promise<{ hook: unknown; trace: string }> {
  const { service } = await startServiceOnDatabase(later, {
    apis: 1,
    workers: 1,
    env: { CONVERSATION_PATH: 'workflow', ...env },
  });
  const id = toBase64Url(randomBytes(18));
  const client = service.clientOf('alice');
  await client.createConversation({ id, protocol: 'opaque' });
  await client.send(id, { id: 'first', ciphertext: 'aGVsbG8=' });
  const trace = await service.temporal.workflow
    .getHandle(`conversation/${id}`)
    .query<string>('__stack_trace')
    .catch((error: unknown) => String(error));
  const lines = readFileSync(service.workers[0]?.logFile ?? '', 'utf8').split('\n');
  const start = lines.find((line) => line.includes('worker started')) ?? '{}';
  return { hook: (JSON.parse(start) as { promiseHook?: unknown }).promiseHook, trace };
}

test('a worker runs conversations without the promise hook of the SDK, which knows that it has no stack traces', async () => {
  const { hook, trace } = await stackTraceWith({});
  expect(hook).toBe('off');
  expect(trace).toContain('stack traces are not enabled on this worker');
});

test('with WORKFLOW_STACK_TRACES the hook is on, and the stack of a waiting run names its code', async () => {
  const { hook, trace } = await stackTraceWith({ WORKFLOW_STACK_TRACES: 'on' });
  expect(hook).toBe('on');
  expect(trace).toMatch(/at .*conversation/);
});
