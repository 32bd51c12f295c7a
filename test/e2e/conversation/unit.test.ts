import { describe, expect, test } from 'vitest';
import { conversationWorkflowId, shutdown, state } from '../../../workflows/conversation/messages.ts';
import { hasCode } from '../../../client/index.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import {
  atOnce,
  ascending,
  createOpaque,
  newMessage,
  readLog,
  sendInOrder,
  upTo,
  users,
} from '../../../tools/harness/opaque.ts';
import { useService } from '../../harness/service.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

// The ten unit tests of the system that Parley replaces, against real processes: two APIs and two workers.
// What the workflow decided is counted here, and `auto` may divert.
const service = useService({ env: { CONVERSATION_PATH: 'workflow' } });

/** Ends the run with `shutdown`, as an operator does, and waits until it has ended. */
async function shutDown(conversation: string): Promise<void> {
  const handle = service().temporal.workflow.getHandle(conversationWorkflowId(conversation));
  await handle.signal(shutdown, { reason: 'test' });
  expect(await handle.result()).toEqual({ reason: 'shutdown' });
}

async function runIdOf(conversation: string): Promise<string> {
  const { runId } = await service().temporal.workflow.getHandle(conversationWorkflowId(conversation)).describe();
  return runId;
}

async function unreadOf(user: string, conversation: string): Promise<number> {
  return (await service().clientOf(user).conversation(conversation)).unread;
}

describe('one conversation', () => {
  test('increases its epoch by one with each change of its members (invariant 2)', async () => {
    const creator = service().clientOf('creator');
    const id = await createOpaque(creator);
    expect(await creator.epoch(id)).toBe(0);
    expect((await creator.addMembers(id, ['alice'])).epoch).toBe(1);
    expect(await creator.epoch(id)).toBe(1);
    expect((await creator.removeMember(id, 'alice')).epoch).toBe(2);
    expect(await service().clientOf('creator', { api: 1 }).epoch(id)).toBe(2);
    await checkInvariants(service().pool, id);
  });

  test('increases unread counts of all members but the sender, and reading resets only the own count (invariant 7)', async () => {
    const alice = service().clientOf('alice');
    const id = await createOpaque(alice, ['bob', 'carol']);
    await alice.incrementUnread(id);
    await alice.incrementUnread(id, 2);
    await waitUntil(async () => (await unreadOf('bob', id)) === 3, { what: 'the increments are applied' });
    expect(await unreadOf('alice', id)).toBe(0);
    expect(await service().clientOf('bob').markRead(id)).toBe(0);
    expect(await unreadOf('bob', id)).toBe(0);
    expect(await unreadOf('carol', id)).toBe(3);
  });

  test('keeps its decisions over a shutdown, and the next operation continues from them (invariant 3)', async () => {
    const creator = service().clientOf('creator');
    const id = await createOpaque(creator);
    await creator.addMembers(id, ['alice']);
    const [sent] = await sendInOrder(creator, id, 1);
    await shutDown(id);
    expect(await creator.epoch(id)).toBe(1);
    expect((await creator.addMembers(id, ['bob'])).epoch).toBe(2);
    expect((await readLog(creator, id)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(sent?.seq).toBe(2);
    await checkInvariants(service().pool, id);
  });

  test('changes nothing for a refused operation and accepts the operations after it', async () => {
    const creator = service().clientOf('creator');
    const id = await createOpaque(creator);
    await expect(creator.removeMember(id, 'nobody')).rejects.toSatisfy((error) => hasCode(error, 'not-found'));
    expect(await creator.epoch(id)).toBe(0);
    expect((await creator.addMembers(id, ['alice'])).epoch).toBe(1);
    await checkInvariants(service().pool, id);
  });

  test('stores concurrent messages one after another (invariant 1)', async () => {
    const alice = service().clientOf('alice');
    const id = await createOpaque(alice);
    const results = await atOnce(10, () => alice.send(id, newMessage()));
    expect(ascending(results.map(({ seq }) => seq))).toEqual(upTo(10));
    expect((await readLog(alice, id)).map(({ seq }) => seq)).toEqual(upTo(10));
    await checkInvariants(service().pool, id);
  });
});

describe('the workflow of a conversation', () => {
  test('starts with the first operation, and later operations use it', async () => {
    const alice = service().clientOf('alice');
    const id = await createOpaque(alice, ['bob']);
    await expect(runIdOf(id)).rejects.toThrow(/not found/i);
    await sendInOrder(alice, id, 1);
    const runId = await runIdOf(id);
    await sendInOrder(service().clientOf('bob', { api: 1 }), id, 2);
    await alice.markRead(id);
    expect(await runIdOf(id)).toBe(runId);
  });

  test('exists once, even if many first operations come at the same time', async () => {
    const members = users(10);
    const id = await createOpaque(service().clientOf('creator'), members);
    const results = await atOnce(10, (i) =>
      service()
        .clientOf(`user-${i}`, { api: i % 2 })
        .send(id, newMessage()),
    );
    expect(ascending(results.map(({ seq }) => seq))).toEqual(upTo(10));
    const handle = service().temporal.workflow.getHandle(conversationWorkflowId(id));
    expect(await handle.query(state)).toMatchObject({ decided: 10, facts: { lastSeq: 10, memberCount: 11 } });
  });

  test('stops on a shutdown and starts again without losing anything', async () => {
    const alice = service().clientOf('alice');
    const id = await createOpaque(alice);
    await sendInOrder(alice, id, 3);
    const first = await runIdOf(id);
    await shutDown(id);
    const [again] = await sendInOrder(alice, id, 1);
    expect(again?.seq).toBe(4);
    expect(await runIdOf(id)).not.toBe(first);
    await checkInvariants(service().pool, id);
  });

  test('can be counted: one for each active conversation and none after the shutdowns', async () => {
    const alice = service().clientOf('alice');
    const ids = await atOnce(3, () => createOpaque(alice));
    const running = async (): Promise<number> => {
      const query = ids.map((id) => `WorkflowId = '${conversationWorkflowId(id)}'`).join(' OR ');
      const { count } = await service().temporal.workflow.count(`ExecutionStatus = 'Running' AND (${query})`);
      return count;
    };
    for (const [i, id] of ids.entries()) {
      await sendInOrder(alice, id, 1);
      await waitUntil(async () => (await running()) === i + 1, { what: `${i + 1} run` });
    }
    for (const id of ids) await shutDown(id);
    await waitUntil(async () => (await running()) === 0, { what: 'none runs' });
  });

  test('makes one log when two APIs and two workers serve one conversation (invariant 9)', async () => {
    const id = await createOpaque(service().clientOf('creator'), users(4));
    await atOnce(40, async (i) => {
      const client = service().clientOf(`user-${i % 4}`, { api: i % 2 });
      if (i % 8 === 7) await client.addMembers(id, [`new-${i}`]);
      else await client.send(id, newMessage());
    });
    const [left, right] = await Promise.all([
      readLog(service().clientOf('creator', { api: 0 }), id),
      readLog(service().clientOf('creator', { api: 1 }), id),
    ]);
    expect(left.map(({ seq }) => seq)).toEqual(upTo(40));
    expect(right).toEqual(left);
    expect(await service().clientOf('creator').epoch(id)).toBe(5);
    await checkInvariants(service().pool, id);
  });
});
