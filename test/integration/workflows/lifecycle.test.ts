import { randomUUID } from 'node:crypto';
import { type Client, ScheduleOverlapPolicy } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { describe, expect, test } from 'vitest';
import { MAX_BATCH_OPERATIONS } from '../../../domain/limits.ts';
import { viewConversation } from '../../../store/conversation/conversations.ts';
import { sweepScheduleId } from '../../../worker/schedule.ts';
import * as messages from '../../../workflows/conversation/messages.ts';
import { SWEEP_WORKFLOW } from '../../../workflows/names.ts';
import type { SendResult } from '../../../client/index.ts';
import { useConversations } from '../../harness/conversations.ts';
import { useDatabase } from '../../harness/database.ts';
import {
  membershipSubmission,
  stagedChange,
  createInStore,
  messageSubmission,
} from '../../../tools/harness/submissions.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { messageNames } from '../../../tools/harness/message-names.ts';
import { ascending, atOnce, createOpaque, newMessage, readLog, upTo, users } from '../../../tools/harness/opaque.ts';
import { useService } from '../../harness/service.ts';
import { makeGate } from '../../../tools/harness/trouble.ts';
import type { StagedCommand } from '../../../domain/staged-command.ts';
import { replayOptions } from '../../../worker/replay.ts';
import { resetRun } from '../../../tools/harness/reset-run.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

describe('a run that is ended from outside', () => {
  const service = useService({ workers: 1 });

  const handleOf = (id: string): ReturnType<Client['workflow']['getHandle']> =>
    service().temporal.workflow.getHandle(messages.conversationWorkflowId(id));

  const ends: Record<string, (id: string) => Promise<unknown>> = {
    terminate: (id) => handleOf(id).terminate('test'),
    cancel: (id) => handleOf(id).cancel(),
    shutdown: (id) => handleOf(id).signal(messages.shutdown, { reason: 'test' }),
    reset: (id) => resetRun(service().temporal, messages.conversationWorkflowId(id), ([first]) => first),
    delete: (id) =>
      service().temporal.workflowService.deleteWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId: messages.conversationWorkflowId(id) },
      }),
  };

  test.each(Object.entries(ends))(
    'by %s is started again by the next operation, keeps acknowledged operations, and applies operations in flight once (invariants 1, 3, 9)',
    async (_, end) => {
      const creator = service().clientOf('creator');
      const id = await createOpaque(creator, users(4));
      await creator.addMembers(id, ['carol']);
      const sent: { id: string; seq: number }[] = [];
      const send = async (i: number): Promise<SendResult> => {
        const message = newMessage();
        const result = await service()
          .clientOf(`user-${i % 4}`, { api: i % 2, attempts: 1 })
          .send(id, message);
        sent.push({ id: message.id, seq: result.seq });
        return result;
      };
      await atOnce(4, send);
      for (let round = 0; round < 4; round++) {
        await Promise.all([atOnce(8, send), end(id).catch(ignoreNotFound)]);
      }
      const last = await send(0);
      expect(last.status).toBe('accepted');
      const log = await readLog(creator, id);
      expect(log.map(({ seq }) => seq)).toEqual(upTo(38));
      expect(ascending(sent.map(({ seq }) => seq))).toEqual(upTo(38).slice(1));
      for (const one of sent) expect(log[one.seq - 1]).toMatchObject(one);
      expect(await creator.epoch(id)).toBe(1);
      await checkInvariants(service().pool, id);
    },
  );

  test('keeps its increments over shutdown and cancel (invariant 7)', async () => {
    const creator = service().clientOf('creator');
    const id = await createOpaque(creator, ['reader']);
    for (const end of ['shutdown', 'cancel', 'shutdown', 'cancel'] as const) {
      await Promise.all([creator.incrementUnread(id, 1), creator.incrementUnread(id, 10)]);
      // The increments may have reached the run that was already ending. Then there is no run to end.
      await ends[end]?.(id).catch(ignoreNotFound);
    }
    const unread = async (): Promise<number> => (await service().clientOf('reader').conversation(id)).unread;
    await waitUntil(async () => (await unread()) >= 44, { what: 'all increments are applied' });
    expect(await unread()).toBe(44);
  });

  test('ends by a `shutdown` without input from an operator', async () => {
    // On a busy machine `auto` goes direct now and then, and starts no run.
    await service().setPath('workflow');
    const creator = service().clientOf('creator');
    const id = await createOpaque(creator);
    await creator.send(id, newMessage());
    await handleOf(id).signal('shutdown');
    expect(await handleOf(id).result()).toEqual({ reason: 'shutdown' });
  });

  test('is woken by the sweep when it is due, and the sweep deletes staged orphans', async () => {
    await service().setPath('workflow');
    const creator = service().clientOf('creator');
    const id = await createOpaque(creator, [], { retentionDays: 1 });
    await creator.send(id, newMessage());
    await ends.shutdown?.(id);
    expect(await handleOf(id).result()).toEqual({ reason: 'shutdown' });

    const { pool, temporal, taskQueue } = service();
    await pool.query(
      `update entry set at = at - interval '2 days'
      where conversation = (select key from conversation where id = $1)`,
      [id],
    );
    await pool.query(`update conversation set due_at = due_at - interval '2 days' where id = $1`, [id]);
    await pool.query(
      `insert into staged (conversation, user_id, size, ciphertext, at)
       select c.key, 'creator', 3, 'old'::bytea, clock_timestamp() - interval '1 hour' from conversation c where c.id = $1
       union all select c.key, 'creator', 3, 'new'::bytea, clock_timestamp() from conversation c where c.id = $1`,
      [id],
    );
    await temporal.schedule.getHandle(sweepScheduleId(taskQueue)).trigger(ScheduleOverlapPolicy.ALLOW_ALL);
    await waitUntil(async () => (await readLog(creator, id))[0]?.expired === true, { what: 'the body is gone' });
    const left = async (): Promise<string[]> => {
      const { rows } = await pool.query<{ text: string }>(
        `select convert_from(ciphertext, 'UTF8') as text from staged`,
      );
      return rows.map(({ text }) => text);
    };
    // A round that meets the lock of the run that it woke leaves the conversation to the next round.
    const sweepOnce = (): Promise<unknown> =>
      temporal.workflow.execute(SWEEP_WORKFLOW, { taskQueue, workflowId: randomUUID() });
    await waitUntil(async () => (await sweepOnce().then(left)).length === 1, { what: 'the orphan is gone' });
    expect(await left()).toEqual(['new']);
    expect((await handleOf(id).describe()).status.name).toBe('RUNNING');
  });
});

describe('a run', () => {
  const database = useDatabase();
  const conversations = useConversations(database, { mailboxLimit: MAX_BATCH_OPERATIONS });

  test('of an unknown conversation ends by itself', async () => {
    const woken = await conversations.wake('bm8tc3VjaC1jb252ZXJzYXRpb24');
    expect(await woken.result()).toEqual({ reason: 'not-found' });
    const add = stagedChange('bm9uZS1hdC1hbGwtaGVyZQ', 'alice', { adds: ['bob'] });
    expect(await conversations.update(messages.addMembers, 'bm9uZS1hdC1hbGwtaGVyZQ', [add])).toEqual([
      { status: 'refused', code: 'not-found' },
    ]);
    await conversations.handle('bm9uZS1hdC1hbGwtaGVyZQ').result();
  });

  test('refuses malformed updates before they are queued, and writes no event for them', async () => {
    const id = await createInStore(database().pool, ['alice']);
    await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
    const before = (await conversations.handle(id).describe()).historyLength;
    const add = stagedChange(id, 'alice', { adds: ['bob'] });
    const malformed: unknown[] = [
      undefined,
      'text',
      [],
      [null],
      ['text'],
      [{ kind: 'message' }],
      [{ id: 'x' }],
      [{ kind: 5, id: 'x' }],
      Array.from({ length: MAX_BATCH_OPERATIONS + 1 }, () => add),
    ];
    for (const operations of malformed) {
      await expect(conversations.update(messages.addMembers, id, operations as never)).rejects.toMatchObject({
        cause: { type: messages.FAILURE.malformed },
      });
    }
    expect((await conversations.handle(id).describe()).historyLength).toBe(before);
    expect((await conversations.update(messages.addMembers, id, [add]))[0]).toMatchObject({ epoch: 1 });
  });

  test('refuses with `overloaded` while its mailbox is full, counts the refusals, and continues afterwards', async () => {
    const id = await createInStore(database().pool, ['alice']);
    const gate = makeGate();
    const adds = (count: number): StagedCommand[] =>
      Array.from({ length: count }, () => stagedChange(id, 'alice', { adds: [randomUUID()] }));
    conversations.trouble.before = gate.pass;
    const deciding = conversations.update(messages.addMembers, id, adds(1));
    await waitUntil(() => gate.waiting() === 1, { what: 'a batch is being decided' });
    const fills = conversations.update(messages.addMembers, id, adds(MAX_BATCH_OPERATIONS), 'fills');
    await waitUntil(() => conversations.isAdmitted(id, 'fills'), { what: 'a full mailbox is on its way' });
    // Both updates reach the workflow directly after it.
    const byHand = expect(conversations.update(messages.addMembers, id, adds(1))).rejects.toMatchObject({
      cause: { type: messages.FAILURE.overloaded, details: [{ depth: MAX_BATCH_OPERATIONS }] },
    });
    const byLane = expect(conversations.dispatcher.submit(messageSubmission(id, 'alice'))).rejects.toMatchObject({
      code: 'overloaded',
    });
    await Promise.all([byHand, byLane]);
    expect(await conversations.metrics.registry.metrics()).toContain(
      'actor_mailbox_full_events_total{actor_type="conversation"} 1',
    );
    conversations.trouble.before = () => undefined;
    gate.open();
    await Promise.all([deciding, fills]);
    const next = MAX_BATCH_OPERATIONS + 2;
    expect(await conversations.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({
      seq: next,
      status: 'accepted',
    });
    await checkInvariants(database().pool, id);
  });

  test('does not fail the other updates of a batch when one update has a defect', async () => {
    const id = await createInStore(database().pool, ['alice', 'bob']);
    await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
    const gate = makeGate();
    conversations.trouble.before = gate.pass;
    const first = conversations.dispatcher.submit(messageSubmission(id, 'alice'));
    await waitUntil(() => gate.waiting() === 1, { what: 'a batch is being decided' });
    const defect = { kind: 'nonsense', id: 'defect', actor: 'alice' } as never;
    // One waits before the next is sent: the run is healthy again because a success follows the failure.
    const admitted = (update: string): Promise<void> =>
      waitUntil(() => conversations.isAdmitted(id, update), { what: `the update ${update} waits behind it` });
    const good = conversations.update(messages.administer, id, [stagedChange(id, 'alice', { adds: ['carol'] })], 'add');
    await admitted('add');
    const bad = expect(conversations.update(messages.administer, id, [defect], 'defect')).rejects.toMatchObject({
      cause: { type: messages.FAILURE.defect },
    });
    await admitted('defect');
    const alsoGood = conversations.update(
      messages.administer,
      id,
      [stagedChange(id, 'alice', { removes: ['bob'] })],
      'remove',
    );
    await admitted('remove');
    gate.open();
    conversations.trouble.before = () => undefined;
    expect(await first).toMatchObject({ seq: 2 });
    await bad;
    const [[added], [removed]] = await Promise.all([good, alsoGood]);
    expect([added?.status, removed?.status]).toEqual(['accepted', 'accepted']);
    expect(await conversations.state(id)).toMatchObject({ health: 'healthy', facts: { epoch: 2, memberCount: 2 } });
  });

  test('describes itself to operators: every handler has a description, the details are current, and queries answer', async () => {
    const id = await createInStore(database().pool, ['alice', 'bob']);
    await conversations.dispatcher.submit(membershipSubmission(id, 'alice', { adds: ['carol'] }));
    await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
    const handle = conversations.handle(id);
    const metadata = await handle.query<Metadata>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toMatch(
      /^\*\*healthy\*\* · opaque · 3 members · epoch 1 · last seq 2 · as of \d{4}-\d\d-\d\dT.*\n\n- queue: 0 commands, 0 increments\n- decided by this run: 2\n/,
    );
    const { queryDefinitions, signalDefinitions, updateDefinitions } = metadata.definition;
    const own = [...queryDefinitions, ...signalDefinitions, ...updateDefinitions].filter(
      ({ name }) => !name.startsWith('__'),
    );
    const { updates, signals, queries } = messageNames;
    expect(own.map(({ name }) => name).sort()).toEqual([...updates, ...signals, ...queries].sort());
    for (const { description } of own) expect(description).toMatch(/\w{3}/);

    expect(await handle.query(messages.epoch)).toBe(1);
    expect(await handle.query(messages.state)).toEqual({
      conversation: id,
      facts: { found: true, protocol: 'opaque', epoch: 1, lastSeq: 2, memberCount: 3 },
      asOf: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      health: 'healthy',
      queued: 0,
      pendingIncrements: 0,
      decided: 2,
      closing: false,
    });
    expect(await (await handle.describe()).staticSummary()).toBe('conversation');
  });

  test('that was reset among increments and updates can be replayed, and applies every increment once (invariants 7 and 9)', async () => {
    const id = await createInStore(database().pool, ['alice', 'bob']);
    const handle = conversations.handle(id);
    const send = (): Promise<unknown> => conversations.dispatcher.submit(messageSubmission(id, 'alice'));
    // The reset goes back to the second task: in the first one, messages wait until their handlers are registered.
    for (let i = 0; i < 2; i++) await send();
    for (const by of [1, 10, 100]) {
      await send();
      await conversations.increment({ conversation: id, user: 'alice', by });
    }
    await conversations.reset(id, 2);
    // The new run gets these messages again in one task, in their old order.
    await send();
    await waitUntil(async () => (await conversations.state(id)).pendingIncrements === 0, { what: 'all are applied' });
    await Worker.runReplayHistory(await replayOptions(), await handle.fetchHistory());
    expect((await viewConversation(database().pool, id, 'bob'))?.unread).toBe(6 + 111);
  });

  test('the sweep can be started by hand and returns its results', async () => {
    const result: unknown = await conversations.client.workflow.execute(SWEEP_WORKFLOW, {
      workflowId: `sweep-${randomUUID()}`,
      taskQueue: conversations.taskQueue,
    });
    const tables = [
      'staged',
      'operations',
      'idempotency',
      'keyPackages',
      'races',
      'audit',
      'devices',
      'welcomeBodies',
      'consentRequests',
      'invitations',
      'erasures',
      'evictedWelcomes',
      'increments',
      'streamTickets',
      'groupClaims',
    ];
    expect(result).toEqual({ woken: 0, deleted: Object.fromEntries(tables.map((table) => [table, 0])) });
  });
});

interface Described {
  readonly name: string;
  readonly description?: string;
}

interface Metadata {
  readonly currentDetails: string;
  readonly definition: {
    readonly queryDefinitions: readonly Described[];
    readonly signalDefinitions: readonly Described[];
    readonly updateDefinitions: readonly Described[];
  };
}

/** The run is already gone: another operation or end came first. */
function ignoreNotFound(error: unknown): void {
  if (!/not found|already completed/i.test(String(error))) throw error;
}
