import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import { parseConversationId } from '../../../domain/ids.ts';
import type { ConversationWorkflows } from '../../../dispatch/conversation-workflows.ts';
import { makeWorkflowRuns } from '../../../dispatch/workflow-runs.ts';

const conversation = parseConversationId('Y29udmVyc2F0aW9uLTE') ?? expect.fail('not an id');

test('a run that does not end is terminated, also when the server ends the wait before its deadline', async () => {
  const done: string[] = [];
  const workflows = {
    shutDown: () => Promise.resolve('run-1'),
    ended: () => Promise.reject(new Error('4 DEADLINE_EXCEEDED')),
    terminate: (_: string, runId: string) => Promise.resolve(void done.push(`terminate ${runId}`)),
    start: () => Promise.resolve(void done.push('start')),
  } as unknown as ConversationWorkflows;
  const client = { withDeadline: (_: number, act: () => Promise<unknown>) => act() } as unknown as Client;
  const runs = makeWorkflowRuns({ client, workflows, namespace: 'default', uiUrl: undefined });
  expect(await runs.restart(conversation, 'a test', Date.now() + 60_000)).toBe('terminated');
  expect(done).toEqual(['terminate run-1', 'start']);
});
