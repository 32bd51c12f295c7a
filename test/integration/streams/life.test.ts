import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { type TcpProxy, startTcpProxy } from '../../../tools/harness/tcp-proxy.ts';
import { createOpaque, newConversationId, newMessage, randomCiphertext } from '../../../tools/harness/opaque.ts';
import type { Service } from '../../../tools/harness/service.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { reportTroubles } from '../../../store/trouble/troubles.ts';
import { DIVERSION_REASONS } from '../../../dispatch/executor.ts';
import type { LifePart } from '../../../domain/life-event.ts';
import { KEPT_ENTRIES } from '../../../streams/life/log-news.ts';
import { writeActions } from '../../../store/supervision/actions.ts';
import { conversationWorkflowId } from '../../../workflows/conversation/messages.ts';
import { useDatabase } from '../../harness/database.ts';
import { keepConversation, loseConversation } from '../../harness/kept-conversation.ts';
import { startTestService } from '../../harness/service.ts';
import { type LifeReader, readLife } from '../../harness/streams/life.ts';

/** A run continues as new after so many operations, and not before it is some seconds old. */
const CONTINUE_AFTER = 5;

const database = useDatabase();
let postgres: TcpProxy;
let temporal: TcpProxy;
let service: Service;
beforeAll(async () => {
  const { host } = new URL(database().url);
  [postgres, temporal] = await Promise.all([startTcpProxy(host), startTcpProxy(inject('temporalAddress'))]);
  const url = new URL(database().url);
  url.host = postgres.address;
  service = await startTestService(url.href, {
    apis: 1,
    workers: 1,
    temporalAddress: temporal.address,
    env: { CONVERSATION_PATH: 'auto', CONTINUE_AS_NEW_AFTER: String(CONTINUE_AFTER), TEMPORAL_UI_URL: 'http://ui' },
  });
});
afterAll(async () => {
  await service.stop();
  await Promise.all([postgres.close(), temporal.close()]);
});

const url = (): string => service.apis[0]?.url ?? '';

async function watch(conversation: string): Promise<LifeReader> {
  const life = await readLife(url(), conversation, await service.token('operator'));
  onTestFinished(() => life.close());
  return life;
}

test('each message says which way it went and why, and shows in the log and in the history of the run', async () => {
  const alice = service.clientOf('alice');
  const id = await createOpaque(alice, ['bob']);
  const life = await watch(id);
  const head = await life.until('head', 'the conversation is told');
  expect(head).toMatchObject({
    state: 'active',
    protocol: 'opaque',
    epoch: 0,
    lastSeq: 0,
    members: 2,
    mailbox: { waiting: 0, inFlight: 0, staged: 0, increments: 0 },
    path: { mode: 'auto' },
  });
  expect(head.incarnation).toMatch(/^[\w-]{36}$/);

  await service.setPath('workflow');
  const first = newMessage();
  const { seq, epoch, chain } = await alice.send(id, first);
  const operation = await life.until('operation', 'the message is told', (one) => one.operation === first.id);
  expect(operation).toMatchObject({
    kind: 'message',
    path: 'workflow',
    reason: 'setting',
    outcome: 'accepted',
    seq,
    epoch,
  });
  const entry = await life.until('entry', 'its entry is told', (one) => one.seq === seq);
  expect(entry).toMatchObject({ kind: 'application', epoch, bytes: 48, sender: 'alice', chain });
  const run = await life.until('workflow', 'the run is told', ({ status }) => status === 'RUNNING');
  expect(run.workflowId).toBe(conversationWorkflowId(id));
  expect(run.webUi).toBe(`http://ui/namespaces/default/workflows/conversation%2F${id}/${run.runId}/history`);
  const accepted = await life.until('history', 'the update is told', ({ kind }) => kind === 'updateAccepted');
  expect(accepted).toMatchObject({ runId: run.runId, name: 'sendMessages', facts: { operations: 1 } });
  await life.until('history', 'its activity is told', (one) => one.kind === 'localActivity' && one.name === 'apply');
  const completed = await life.until('history', 'its end is told', ({ kind }) => kind === 'updateCompleted');
  expect(completed.facts).toMatchObject({ updateId: accepted.facts.updateId, acceptedEventId: accepted.eventId });
  await life.until(
    'history',
    'a timer is told',
    (one) => one.kind === 'timerStarted' && one.name?.startsWith('idle') === true,
  );

  await service.setPath('direct');
  const second = newMessage();
  await alice.send(id, second);
  const direct = await life.until('operation', 'the second message is told', (one) => one.operation === second.id);
  expect(direct).toMatchObject({ path: 'direct', reason: 'setting', outcome: 'accepted', seq: seq + 1 });

  // On a busy machine `auto` goes direct now and then.
  await service.setPath('auto');
  const byAuto = (): boolean =>
    life.of('operation').some(({ path, reason }) => path === 'workflow' && reason === 'auto');
  await waitUntil(
    async () => {
      await alice.send(id, newMessage());
      return byAuto();
    },
    { what: '`auto` takes the workflow', everyMs: 200 },
  );

  await service.setPath('workflow');
  await life.until('head', 'the path is told', ({ path }) => path.mode === 'workflow' && path.now === 'workflow');
  const commit = { id: randomUUID(), commit: randomCiphertext(), adds: ['carol'] };
  await alice.commit(id, commit);
  const added = await life.until('operation', 'the commit is told', (one) => one.operation === commit.id);
  expect(added).toMatchObject({ kind: 'commit', path: 'workflow', reason: 'setting', outcome: 'accepted', epoch: 1 });
  const later = await life.until('head', 'the epoch moves', (one) => one.epoch === 1);
  expect(later).toMatchObject({ lastSeq: added.seq, members: 3 });
  await expect(
    alice.commit(id, { ...commit, id: randomUUID(), commit: randomCiphertext(), epoch: 0 }),
  ).rejects.toThrow();
  await life.until('operation', 'a lost race is told', ({ outcome }) => outcome === 'epoch-conflict');
  const increment = await tryUntil(
    async () => {
      const operation = randomUUID();
      await alice.incrementUnread(id, 2, operation);
      const told = await life.until('operation', 'the increment is told', (one) => one.operation === operation);
      // A signal that a busy machine delays for a second is given up, and the increment counted directly.
      expect(told.path).toBe('workflow');
      return told;
    },
    { what: 'its signal is in time' },
  );
  expect(increment).toMatchObject({ kind: 'increment', reason: 'setting', outcome: 'accepted' });

  // Whoever opens later gets the same: the same log, the same history, the operations that were seen. Of each, the newest are kept.
  const other = await watch(id);
  await other.until('operation', 'earlier operations are told', (one) => one.operation === commit.id);
  const newest = (reader: LifeReader): unknown[] =>
    [
      reader.of('entry').map((one) => one.seq),
      reader.of('history').map(({ eventId }) => eventId),
      reader.of('operation').map((one) => one.operation),
    ].map((told) => told.slice(-KEPT_ENTRIES));
  const compare = (): Promise<void> =>
    Promise.resolve(newest(other)).then((told) => expect(told).toEqual(newest(life)));
  await tryUntil(compare, { what: 'both are told the same' });
});

test('runs are followed, however they end, and looking starts none', async () => {
  await service.setPath('workflow');
  const alice = service.clientOf('alice');
  const id = await createOpaque(alice);
  const life = await watch(id);
  await life.until('workflow', 'it is told that there is no run', ({ status }) => status === 'NONE');
  await waitUntil(
    async () => {
      await alice.send(id, newMessage());
      return life.of('history').some(({ kind }) => kind === 'continuedAsNew');
    },
    { what: 'a run continues as new', everyMs: 300 },
  );
  const [ended] = life.of('history').filter(({ kind }) => kind === 'continuedAsNew');
  const next = await life.until(
    'workflow',
    'the next run is told',
    ({ continuedFrom }) => continuedFrom === ended?.runId,
  );
  expect(ended?.facts.newRunId).toBe(next.runId);
  await life.until('history', 'its history is told', (one) => one.runId === next.runId && one.kind === 'started');

  const { runId } = life.of('workflow').at(-1) ?? {};
  await terminate(id, 'the tests want it');
  const end = await life.until('history', 'the termination is told', ({ kind }) => kind === 'terminated');
  expect(end).toMatchObject({ facts: { reason: 'the tests want it' } });
  await life.until(
    'workflow',
    'the end of the run is told',
    (one) => one.status === 'TERMINATED' && one.closedAt !== undefined,
  );
  // Some looks later nothing has started a run.
  for (const action of ['restart', 'give-up']) {
    await act(id, action);
    await life.until('supervisor', 'the next look', (one) => one.action === action);
  }
  const { runId: last, status } = await service.temporal.workflow.getHandle(conversationWorkflowId(id)).describe();
  expect([status.name, last]).toEqual(['TERMINATED', runId]);
  await alice.send(id, newMessage());
  const fresh = await life.until(
    'workflow',
    'the new run is told',
    (one) => one.status === 'RUNNING' && one.runId !== last,
  );
  expect(fresh.status).toBe('RUNNING');
});

async function terminate(id: string, reason: string): Promise<void> {
  await service.temporal.workflow.getHandle(conversationWorkflowId(id)).terminate(reason);
}

/** As the supervisor writes it down. */
async function act(conversation: string, action: string): Promise<void> {
  await writeActions(database().pool, [{ conversation, action, reason: 'timeouts', details: { runId: 'r-1' } }]);
}

test('the stream goes on while Temporal or Postgres is away, and says so once', async () => {
  await service.setPath('auto');
  const alice = service.clientOf('alice');
  const id = await createOpaque(alice);
  const life = await watch(id);
  await life.until('workflow', 'Temporal is read');
  // A part that a busy machine keeps silent for seconds is in trouble too: there may be more of it than what this test makes.
  const told = (part: LifePart): string[] =>
    life
      .all()
      .flatMap((one) => ((one.type === 'trouble' || one.type === 'recovered') && one.part === part ? [one.type] : []));
  const untilTold = (part: LifePart, type: 'trouble' | 'recovered'): Promise<void> =>
    waitUntil(() => told(part).at(-1) === type, { what: `${type} of ${part} is told` });
  await temporal.refuse();
  await untilTold('temporal', 'trouble');
  await alice.send(id, newMessage());
  const diverted = await life.until('operation', 'the message is told');
  expect([diverted.path, diverted.outcome, diverted.seq]).toEqual(['direct', 'accepted', 1]);
  expect(DIVERSION_REASONS).toContain(diverted.reason);
  await life.until('entry', 'its entry is told', ({ seq }) => seq === 1);
  await life.until('head', 'the path is told', ({ path }) => path.now === 'direct' && path.reason === 'breaker');
  await temporal.heal();
  await untilTold('temporal', 'recovered');

  await postgres.refuse();
  await untilTold('postgres', 'trouble');
  await postgres.heal();
  await untilTold('postgres', 'recovered');
  await alice.send(id, newMessage());
  await life.until('entry', 'the next entry is told', ({ seq }) => seq === 2);
  for (const part of ['temporal', 'postgres'] as const) {
    const types = told(part);
    expect(types.length).toBeGreaterThanOrEqual(2);
    expect(types).toEqual(types.map((_, i) => (i % 2 === 0 ? 'trouble' : 'recovered')));
  }
  expect(life.endedAt()).toBeUndefined();
});

test('after a restore of the database the log is told anew', async () => {
  await service.setPath('direct');
  const alice = service.clientOf('alice');
  const id = await createOpaque(alice);
  const life = await watch(id);
  await alice.send(id, newMessage());
  const restore = await keepConversation(database().pool, id);
  await alice.send(id, newMessage());
  await alice.send(id, newMessage());
  await life.until('entry', 'three entries are told', ({ seq }) => seq === 3);
  await restore();
  await life.until(
    'log-restarted',
    'the restore is told',
    ({ lastSeq, oldestSeq }) => lastSeq === 1 && oldestSeq === 1,
  );
  await alice.send(id, newMessage());
  await waitUntil(() => life.of('entry').length === 5, { what: 'the other log is told' });
  expect(life.of('entry').map(({ seq }) => seq)).toEqual([1, 2, 3, 1, 2]);
  // The incarnation is in the head.
  const { incarnation } = life.of('head').at(-1) ?? {};
  await sayRestored();
  await life.until('head', 'the new incarnation is told', (one) => one.incarnation !== incarnation);
});

async function sayRestored(): Promise<void> {
  const response = await fetch(`${url()}/v1/admin/restored`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await service.token('operator')}`, 'content-type': 'application/json' },
    body: '{}',
  });
  expect(response.status).toBe(200);
}

test('a conversation that a restore took away ends the stream, and is not found by who comes back', async () => {
  const id = await createOpaque(service.clientOf('alice'));
  const life = await watch(id);
  await life.until('head', 'the conversation is told');
  await loseConversation(database().pool, id);
  await waitUntil(() => life.endedAt() !== undefined, { what: 'the stream ends' });
  expect(life.events.at(-1)?.event).toBe('reconnect');
  expect((await watch(id)).status).toBe(404);
});

test('news of the log is told also when what the supervisor does could not be read with it', async () => {
  await service.setPath('direct');
  const alice = service.clientOf('alice');
  const id = await createOpaque(alice);
  const life = await watch(id);
  await life.until('head', 'the conversation is told');
  const blocker = await session();
  await blocker.query('begin');
  await blocker.query('lock table parley.trouble in access exclusive mode');
  /** When the looks that wait for the table began. As a time-out would, it ends them. */
  const end = async (): Promise<Date[]> => {
    const { rows } = await database().pool.query<{ at: Date }>(
      `select query_start as at, pg_cancel_backend(pid) from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like '%from trouble t join%'`,
    );
    return rows.map(({ at }) => at);
  };
  await waitUntil(async () => (await end()).length > 0, { what: 'a look fails' });
  await alice.send(id, newMessage());
  const sentAt = new Date();
  await waitUntil(async () => (await end()).some((at) => at > sentAt), { what: 'a look after the message fails' });
  await blocker.query('rollback');
  await life.until('entry', 'the entry is told', ({ seq }) => seq === 1);
  await life.until('head', 'the conversation is told again', ({ lastSeq }) => lastSeq === 1);
});

test('it waits for nobody who holds the conversation, tells of deleted bodies, and shows what the supervisor does', async () => {
  await service.setPath('direct');
  const alice = service.clientOf('alice');
  const id = await createOpaque(alice);
  const { seq } = await alice.send(id, newMessage());
  const blocker = await session();
  await blocker.query('begin');
  await blocker.query('select from parley.conversation where id = $1 for update', [id]);
  const life = await watch(id);
  await life.until('entry', 'the log is told', (one) => one.seq === seq);
  await blocker.query('rollback');
  await act('another', 'give-up');
  await act(id, 'restart');
  await life.until('supervisor', 'the action is told', ({ action }) => action === 'restart');
  expect(life.of('supervisor')).toMatchObject([{ reason: 'timeouts', outcome: 'run r-1' }]);
  await reportTroubles(database().pool, [{ conversation: id, sign: 'timeouts', details: {} }]);
  await life.until('supervisor', 'the sign is told', (one) => one.action === 'sees' && one.reason === 'timeouts');
  await alice.deleteMessage(id, seq);
  const gone = await life.until('entry', 'the deleted body is told', ({ deleted }) => deleted === 'deleted');
  expect([gone.seq, gone.bytes]).toEqual([seq, undefined]);
});

/** A session without time limits. When it ends, so do its locks. */
async function session(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database().url });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

test('only operators may look, and only at what exists', async () => {
  const id = await createOpaque(service.clientOf('alice'));
  const asked = async (conversation: string, user: string): Promise<unknown> => {
    const { status, text, close } = await readLife(url(), conversation, await service.token(user));
    close();
    await waitUntil(() => text() !== '', { what: 'the answer is there' });
    return [status, (JSON.parse(text()) as { code: string }).code];
  };
  expect(await asked(id, 'alice')).toEqual([403, 'not-allowed']);
  expect(await asked(newConversationId(), 'alice')).toEqual([403, 'not-allowed']);
  expect(await asked(newConversationId(), 'operator')).toEqual([404, 'not-found']);
  const { ticket } = await service
    .clientOf('operator')
    .streamTicket(`/v1/conversations/${id}/events`)
    .catch(() => ({ ticket: 'none' }));
  const answer = await fetch(`${url()}/v1/admin/conversations/${id}/life?ticket=${ticket}`);
  expect(answer.status).toBe(401);
  // Who looked stands in the audit trail: once an hour, however often a page connects again.
  const looks = async (): Promise<unknown[]> => {
    const { entries } = await service.clientOf('operator').admin.audit({ conversation: id });
    return entries.map(({ actor, action }) => [actor, action]);
  };
  await watch(id);
  await watch(id);
  expect(await looks()).toEqual([['operator', 'life']]);
  // A restore may have taken the line away.
  await database().pool.query("delete from audit where action = 'life'");
  await sayRestored();
  await watch(id);
  expect(await looks()).toEqual([['operator', 'life']]);
});
