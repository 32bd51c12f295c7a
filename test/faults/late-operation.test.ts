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
  // Only the request that comes too late has the short deadline: the others are to be answered, however slow the machine is.
  const { service } = await startServiceOnDatabase(later, {
    apis: 2,
    workers: 0,
    env: { CONVERSATION_PATH: 'workflow' },
    apiEnv: [{ REQUEST_DEADLINE_MS: String(DEADLINE_MS) }, {}],
  });
  const hasty = service.clientOf('alice', { attempts: 1 });
  const alice = service.clientOf('alice', { api: 1 });
  const conversation = toBase64Url(randomBytes(18));
  await alice.createConversation({ id: conversation, protocol: 'opaque', policy: { externalJoin: 'nobody' } });

  const message = { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) };
  await expect(hasty.send(conversation, message)).rejects.toMatchObject({ status: 503, isRetryable: true });

  const handle = service.temporal.workflow.getHandle(conversationWorkflowId(conversation));
  await service.addWorker();
  // The run that the request started takes up what waits for it, and decides that it came too late.
  await waitUntil(async () => (await handle.query(state).catch(() => undefined))?.facts !== undefined, {
    what: 'the workflow has looked',
    timeoutMs: 60_000,
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
    // The lock is waited for half of the time: the rest is enough to say so.
    env: { REQUEST_DEADLINE_MS: '8000', CONVERSATION_PATH: 'direct' },
  });
  const alice = service.clientOf('alice');
  const conversation = toBase64Url(randomBytes(18));
  await alice.createConversation({ id: conversation, protocol: 'opaque', policy: { externalJoin: 'nobody' } });

  const holder = new pg.Client({ connectionString: database.url });
  await holder.connect();
  later('holder', () => holder.end());
  await holder.query('begin');
  await holder.query('select from parley.conversation where id = $1 for update', [conversation]);
  const message = { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) };
  await expect(service.clientOf('alice', { attempts: 1 }).send(conversation, message)).rejects.toMatchObject({
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
