import { describe, expect, test } from 'vitest';
import { ProblemError, newId } from '../../../client/index.ts';
import { conversationWorkflowId } from '../../../workflows/conversation/messages.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { ascending, atOnce, createOpaque, newMessage, readLog, upTo, users } from '../../../tools/harness/opaque.ts';
import { askState } from '../../../dispatch/run-state.ts';
import { useService } from '../../harness/service.ts';
import { spend, waitUntil } from '../../../tools/harness/wait-until.ts';

// Uses the real server: the time-skipping server treats updates that wait at the end of a run differently.
const EVERY = 5;
const SENDERS = 6;
const ROUNDS = 25;
/** Maximum number of events of one run: it may end a few workflow tasks after its last operation. */
const MAX_EVENTS = 150;

/** Asks with the same id again only while Temporal is late for everybody, as on a busy machine. Any other refusal is the answer. */
async function whenTemporalAnswers<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ProblemError) || !error.message.endsWith('Temporal does not answer')) throw error;
      await spend(error.retryAfterMs ?? 1000);
    }
  }
}

describe(`a conversation that continues as new every ${EVERY} operations`, () => {
  const service = useService({ env: { CONTINUE_AS_NEW_AFTER: String(EVERY), CONVERSATION_PATH: 'workflow' } });

  async function runsOf(conversation: string): Promise<number[]> {
    const lengths: number[] = [];
    const query = `WorkflowId = '${conversationWorkflowId(conversation)}'`;
    for await (const { historyLength } of service().temporal.workflow.list({ query })) lengths.push(historyLength);
    return lengths;
  }

  test('gives no client an error and loses, doubles and skips nothing under concurrent load (invariants 1, 3, 7, 9)', async () => {
    const id = await createOpaque(service().clientOf('creator'), [...users(SENDERS), 'reader']);
    const sent = await atOnce(SENDERS, async (i) => {
      const own: { id: string; seq: number }[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        // One attempt: the first answer counts.
        const client = service().clientOf(`user-${i}`, { api: (i + round) % 2, attempts: 1 });
        const message = newMessage();
        const { seq } = await whenTemporalAnswers(() => client.send(id, message));
        own.push({ id: message.id, seq });
        await client.incrementUnread(id, 2);
        if (round % 10 !== i) continue;
        const addition = { id: newId() };
        await whenTemporalAnswers(() => client.addMembers(id, [`new-${i}-${round}`], addition));
      }
      return own;
    });

    const messages = SENDERS * ROUNDS;
    const log = await readLog(service().clientOf('reader'), id);
    expect(log.map(({ seq }) => seq)).toEqual(upTo(log.length));
    for (const own of sent) {
      // The order of each sender is kept, although its requests went through both APIs.
      expect(own.map(({ seq }) => seq)).toEqual(ascending(own.map(({ seq }) => seq)));
      for (const { id: messageId, seq } of own) expect(log[seq - 1]).toMatchObject({ id: messageId, seq });
    }
    expect(log.filter(({ kind }) => kind === 'application')).toHaveLength(messages);

    const expected = messages + 2 * messages;
    const unread = async (): Promise<number> => (await service().clientOf('reader').conversation(id)).unread;
    await waitUntil(async () => (await unread()) >= expected, { what: 'all increments are applied' });
    expect(await unread()).toBe(expected);
    await checkInvariants(service().pool, id);
  });

  test('goes on while it is asked for its state all the time', async () => {
    const id = await createOpaque(service().clientOf('creator'), users(SENDERS));
    const now = { isOver: false, said: 0 };
    const asking = (async () => {
      while (!now.isOver) {
        // Between two runs there is nobody to ask.
        const state = await askState(service().temporal, id).catch(() => undefined);
        if (state?.conversation === id) now.said++;
      }
    })();
    await atOnce(SENDERS, async (i) => {
      for (let round = 0; round < ROUNDS; round++) {
        const client = service().clientOf(`user-${i}`, { api: (i + round) % 2, attempts: 1 });
        const message = newMessage();
        await whenTemporalAnswers(() => client.send(id, message));
        await client.incrementUnread(id, 2);
      }
    }).finally(() => (now.isOver = true));
    await asking;
    expect(now.said).toBeGreaterThan(0);
    await checkInvariants(service().pool, id);
  });

  test('bounds the history of every run (invariant 10)', async () => {
    const client = service().clientOf('creator');
    const id = await createOpaque(client);
    for (let i = 0; i < 6; i++) await atOnce(2 * EVERY, () => client.send(id, newMessage()));
    await waitUntil(async () => (await runsOf(id)).length >= 4, { what: 'its runs are listed' });
    for (const events of await runsOf(id)) expect(events).toBeLessThan(MAX_EVENTS);
  });

  test('carries increments into the next run, which applies them without any operation (invariant 7)', async () => {
    const client = service().clientOf('creator');
    const id = await createOpaque(client, ['reader']);
    let expected = 0;
    for (let round = 1; round <= 10; round++) {
      // They arrive while the batch that ends the run is decided.
      const [results] = await Promise.all([
        atOnce(EVERY, () => client.send(id, newMessage())),
        client.incrementUnread(id, round),
        service().clientOf('creator', { api: 1 }).incrementUnread(id, round),
      ]);
      expected += results.length + 2 * round;
    }
    const unread = async (): Promise<number> => (await service().clientOf('reader').conversation(id)).unread;
    await waitUntil(async () => (await unread()) >= expected, { what: 'all increments are applied' });
    expect(await unread()).toBe(expected);
  });
});
