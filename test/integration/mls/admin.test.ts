import { makeConversationWorkflows } from '../../../dispatch/conversation-workflows.ts';
import { makeWorkflowRuns } from '../../../dispatch/workflow-runs.ts';
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS, conversationWorkflowId } from '../../../workflows/conversation/messages.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { useConversations } from '../../harness/conversations.ts';
import { useDatabase } from '../../harness/database.ts';
import { verdict } from '../../harness/mls/group.ts';

const database = useDatabase();
const UI = 'http://127.0.0.1:8233';
const conversations = useConversations(database);
const { service } = useApi(() => {
  const { client, taskQueue, dispatcher } = conversations;
  const workflows = makeConversationWorkflows({ client, taskQueue, settings: DEFAULT_SETTINGS });
  const runs = makeWorkflowRuns({ client, workflows, namespace: 'default', uiUrl: UI });
  return { submitter: dispatcher, runs };
}, database);

function ask(what: string, body?: unknown): Promise<Answer> {
  return service.ask(what, { user: 'operator', body });
}

/** Run id of the conversation's current run. */
async function runOf(id: string): Promise<string> {
  return (await conversations.handle(id).describe()).runId;
}

test('operators see a conversation with its workflow but not its members', async () => {
  const id = await createConversation(service, ['bob-the-member'], { protocol: 'opaque' });
  const idle = await ask(`GET /v1/admin/conversations/${id}`);
  expect(idle.body).toMatchObject({
    id,
    protocol: 'opaque',
    epoch: 0,
    lastSeq: 0,
    memberCount: 2,
    oldestSeq: 1,
    state: 'active',
    workflow: { id: conversationWorkflowId(id), running: false },
  });
  await service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: ['carol'] } });
  const { body, text } = await ask(`GET /v1/admin/conversations/${id}`);
  const { workflow } = body as { workflow: { id: string; url: string; running: boolean } };
  expect(workflow).toEqual({
    id: conversationWorkflowId(id),
    url: `${UI}/namespaces/default/workflows/${encodeURIComponent(conversationWorkflowId(id))}`,
    running: true,
  });
  expect(text).not.toMatch(/alice|bob-the-member|carol/);
  expect(verdict(await ask(`GET /v1/admin/conversations/${newConversationId()}`))).toEqual([404, 'not-found']);
});

test('the list of conversations has pages and filters by state', async () => {
  const active = await createConversation(service);
  const deleted = await createConversation(service);
  await service.ask(`DELETE /v1/conversations/${deleted}`, { user: 'alice' });
  const superseded = await createConversation(service);
  const successor = newConversationId();
  await service.ask(`POST /v1/conversations/${superseded}/reset`, { user: 'alice', body: { successor } });
  const open = await createConversation(service, [], { protocol: 'opaque' });
  await service.ask(`POST /v1/conversations/${open}/members`, { user: 'alice', body: { users: ['bob'] } });
  await service.ask(`POST /v1/conversations/${open}/members/bob/remove`, { user: 'alice' });
  await service.ask(`POST /v1/conversations/${open}/reports`, {
    user: 'alice',
    body: { seq: 1, epoch: 0, reason: 'stuck' },
  });
  const listed = async (query: string): Promise<string[]> => {
    const ids: string[] = [];
    let cursor = '';
    do {
      const answer = await ask(`GET /v1/admin/conversations?limit=2${query}${cursor}`);
      expect(answer.status).toBe(200);
      const { conversations: page, next } = answer.body as { conversations: { id: string }[]; next?: string };
      ids.push(...page.map(({ id }) => id));
      cursor = next === undefined ? '' : `&cursor=${next}`;
    } while (cursor !== '');
    return ids;
  };
  const all = await listed('');
  expect(all).toEqual([...all].sort());
  expect(all).toEqual(expect.arrayContaining([active, deleted, superseded, successor, open]));
  expect(await listed('&state=deleted')).toEqual([deleted]);
  expect(await listed('&state=superseded')).toEqual([superseded]);
  expect(await listed('&state=reset-open')).toEqual([open]);
  expect(await listed('&state=active')).toEqual(expect.arrayContaining([active, successor]));
  expect(await listed('&state=active')).not.toContain(deleted);
  // A deletion makes work due at once.
  expect(await listed('&state=due')).not.toContain(active);
  expect((await ask(`GET /v1/admin/conversations/${superseded}`)).body).toMatchObject({ successor });
  expect(verdict(await ask('GET /v1/admin/conversations?state=lost'))).toEqual([400, 'malformed']);
});

test('operators can end and restart a run, nothing is lost (invariant 3), and each action is recorded', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const add = (user: string): Promise<Answer> =>
    service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: [user] } });
  expect((await add('carol')).body).toMatchObject({ seq: 1 });
  const first = await runOf(id);

  const restarted = await ask(`POST /v1/admin/conversations/${id}/restart`, { reason: 'looks odd' });
  expect([restarted.status, restarted.body]).toMatchObject([202, { running: true }]);
  const second = await runOf(id);
  expect(second).not.toBe(first);
  expect((await add('dave')).body).toMatchObject({ seq: 2 });

  const down = await ask(`POST /v1/admin/conversations/${id}/shutdown`);
  expect(down.status).toBe(202);
  await expect(conversations.client.workflow.getHandle(conversationWorkflowId(id), second).result()).resolves.toEqual({
    reason: 'shutdown',
  });
  // Without a run, a shutdown has no effect and a restart starts one.
  expect((await ask(`POST /v1/admin/conversations/${id}/shutdown`)).body).toMatchObject({ running: false });
  expect((await ask(`POST /v1/admin/conversations/${id}/restart`)).body).toMatchObject({ running: true });
  expect((await add('erin')).body).toMatchObject({ seq: 3 });

  const { body } = await ask(`GET /v1/admin/audit?conversation=${id}`);
  expect(body.entries).toMatchObject([
    { action: 'restart', actor: 'operator', conversation: id },
    { action: 'shutdown' },
    { action: 'shutdown' },
    { action: 'restart', details: { reason: 'looks odd' } },
  ]);
  for (const action of ['shutdown', 'restart']) {
    const answer = await ask(`POST /v1/admin/conversations/${newConversationId()}/${action}`);
    expect(verdict(answer)).toEqual([404, 'not-found']);
  }
});

test('the audit has pages, newest first, and contains path changes', async () => {
  for (const rollout of [10, 20, 30]) await ask('PUT /v1/admin/path', { path: 'workflow', rollout });
  const first = await ask('GET /v1/admin/audit?limit=2');
  const { entries, next } = first.body as { entries: { details: { to: { rollout: number } } }[]; next: string };
  expect(entries.map(({ details }) => details.to.rollout)).toEqual([30, 20]);
  const second = await ask(`GET /v1/admin/audit?limit=1&cursor=${next}`);
  expect(second.body.entries).toMatchObject([{ action: 'path', actor: 'operator', details: { to: { rollout: 10 } } }]);
  const cursor = Buffer.from('x').toString('base64url');
  expect(verdict(await ask(`GET /v1/admin/audit?cursor=${cursor}`))).toEqual([400, 'malformed']);
});

test('users who are no operators are refused', async () => {
  const id = newConversationId();
  const routes = [
    'GET /v1/admin/conversations',
    `GET /v1/admin/conversations/${id}`,
    `POST /v1/admin/conversations/${id}/shutdown`,
    `POST /v1/admin/conversations/${id}/restart`,
    'GET /v1/admin/audit',
  ];
  for (const what of routes) {
    expect([what, ...verdict(await service.ask(what, { user: 'alice' }))]).toEqual([what, 403, 'not-allowed']);
    expect([what, ...verdict(await service.ask(what))]).toEqual([what, 401, 'unauthenticated']);
  }
});
