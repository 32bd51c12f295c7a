import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { expect, test } from 'vitest';
import { conversationWorkflowId, state } from '../../workflows/conversation/messages.ts';
import { toBase64, toBase64Url } from '../../client/index.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useFaults } from './faults.ts';

const later = useFaults();
const DEADLINE_MS = 1500;

test('an operation that waited for a worker until after its deadline is refused, and its id may be used again (invariant 11)', async () => {
  const { service } = await startServiceOnDatabase(later, {
    apis: 1,
    workers: 0,
    env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS), CONVERSATION_PATH: 'workflow' },
  });
  const alice = service.clientOf('alice', { attempts: 1 });
  const conversation = toBase64Url(randomBytes(18));
  await alice.createConversation({ id: conversation, protocol: 'opaque', policy: { externalJoin: 'nobody' } });

  const message = { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) };
  await expect(alice.send(conversation, message)).rejects.toMatchObject({ status: 503, isRetryable: true });

  const handle = service.temporal.workflow.getHandle(conversationWorkflowId(conversation));
  await service.addWorker();
  // The run that the request started takes up what waits for it, and decides that it came too late.
  await waitUntil(async () => (await handle.query(state)).facts !== undefined, {
    what: 'the workflow has looked',
    timeoutMs: 15_000,
  });
  const log = await alice.log(conversation);
  expect(log.entries).toEqual([]);

  const again = await alice.send(conversation, message);
  expect(again).toMatchObject({ seq: 1, status: 'accepted' });
  await expect(alice.send(conversation, message)).resolves.toMatchObject({ seq: 1, status: 'duplicate' });
});

test('an operation that waited for the lock in vain is answered with the reason, and nothing of it is left (direct path, invariant 11)', async () => {
  const { service, database } = await startServiceOnDatabase(later, {
    apis: 1,
    workers: 0,
    env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS), CONVERSATION_PATH: 'direct' },
  });
  const alice = service.clientOf('alice', { attempts: 1 });
  const conversation = toBase64Url(randomBytes(18));
  await alice.createConversation({ id: conversation, protocol: 'opaque', policy: { externalJoin: 'nobody' } });

  const holder = new pg.Client({ connectionString: database.url });
  await holder.connect();
  later('holder', () => holder.end());
  await holder.query('begin');
  await holder.query('select from parley.conversation where id = $1 for update', [conversation]);
  const message = { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) };
  await expect(alice.send(conversation, message)).rejects.toMatchObject({
    status: 503,
    code: 'unavailable',
    isRetryable: true,
  });
  const waiting = async (): Promise<number> => {
    const { rows } = await database.pool.query<{ count: number }>(
      `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%decide%' and datname = current_database()`,
    );
    return rows[0]?.count ?? 0;
  };
  expect(await waiting()).toBe(0);
  await holder.query('rollback');
  expect((await alice.log(conversation)).entries).toEqual([]);
  expect(await alice.send(conversation, message)).toMatchObject({ seq: 1, status: 'accepted' });
});
