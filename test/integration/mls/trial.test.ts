import { expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { privateMessage } from '../../harness/api/frames.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import {
  type Bundle,
  type Group,
  commit,
  groupInfoOf,
  localGroup,
  makeBundle,
  makeExternal,
  newKeys,
  startGroup,
  verdict,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

/** The epoch of an outsider is on trial until a member from before follows (store/repair/trial.sql). */
const { database, service } = useApi();

/** An open group of alice, bob and carol, all of whom have acted; mallory has joined it by an external commit. */
async function onTrial(): Promise<{ group: Group; joined: Bundle }> {
  const group = await startGroup(service, ['alice', 'bob', 'carol'], { externalJoin: 'anyone' });
  for (const user of ['bob', 'carol']) expect((await say(group.id, user, 1)).status).toBe(200);
  const joined = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('mallory'));
  expect(verdict(await commit(service, group.id, 'mallory', joined.body))).toEqual([200, undefined]);
  return { group, joined };
}

let count = 0;

function say(
  id: string,
  user: string,
  epoch: number,
  type: 'application' | 'proposal' = 'application',
): Promise<Answer> {
  const body = { id: `m${count++}`, ciphertext: base64(privateMessage(id, epoch, type)) };
  return service.ask(`POST /v1/conversations/${id}/messages`, { user, body });
}

async function joinAs(group: Group, after: Bundle, user: string): Promise<Answer> {
  const bundle = await makeExternal(after.groupInfo, await newKeys(user));
  return commit(service, group.id, user, bundle.body);
}

function report(id: string, user: string, seq: number): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/reports`, {
    user,
    body: { seq, epoch: 1, reason: 'no path secret' },
  });
}

function reset(id: string, user: string, successor = newConversationId()): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/reset`, { user, body: { successor } });
}

test('while nobody has followed an outsider, further outsiders wait, and hear for how long', async () => {
  const { group, joined } = await onTrial();
  const refused = await joinAs(group, joined, 'oscar');
  expect(verdict(refused)).toEqual([429, 'rate-limited']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(600);
  // What the outsider does itself, and what a member sends in an epoch before, ends no trial.
  expect((await say(group.id, 'mallory', 2)).status).toBe(200);
  expect((await say(group.id, 'bob', 1)).status).toBe(200);
  expect(verdict(await joinAs(group, joined, 'oscar'))).toEqual([429, 'rate-limited']);
  await checkInvariants(database().pool, group.id);
});

test('the trial is over when its time is over, so that it keeps nobody out for ever', async () => {
  const { group, joined } = await onTrial();
  await database().pool.query(
    `update conversation set trial_until = trial_until - interval '10 minutes' where id = $1`,
    [group.id],
  );
  expect(verdict(await joinAs(group, joined, 'oscar'))).toEqual([200, undefined]);
});

const FOLLOWS: Record<string, (id: string) => Promise<Answer>> = {
  'a message': (id) => say(id, 'bob', 2),
  'a proposal': (id) => say(id, 'bob', 2, 'proposal'),
  'an acknowledgement': (id) => service.ask('POST /v1/ack', { user: 'bob', body: { positions: { [id]: 3 } } }),
};

test.each(Object.keys(FOLLOWS))('%s of a member from before ends the trial', async (name) => {
  const { group, joined } = await onTrial();
  expect((await (FOLLOWS[name] ?? expect.unreachable())(group.id)).status).toBeLessThan(300);
  expect(verdict(await joinAs(group, joined, 'oscar'))).toEqual([200, undefined]);
});

test('a commit of a member from before ends the trial', async () => {
  const { group, joined } = await onTrial();
  // Bob's commit is one of a group that followed mallory.
  expect(verdict(await commit(service, group.id, 'bob', await commitIn(group.id, joined)))).toEqual([200, undefined]);
  const { rows } = await database().pool.query('select trial_seq from conversation where id = $1', [group.id]);
  expect(rows).toEqual([{ trial_seq: null }]);
});

test('an acknowledgement of what was before ends no trial', async () => {
  const { group, joined } = await onTrial();
  expect(
    (await service.ask('POST /v1/ack', { user: 'bob', body: { positions: { [group.id]: 2 } } })).status,
  ).toBeLessThan(300);
  expect(verdict(await joinAs(group, joined, 'oscar'))).toEqual([429, 'rate-limited']);
});

test('members are not held up by the trial: they rejoin, and the outsider goes on', async () => {
  const { group, joined } = await onTrial();
  const resync = await makeExternal(joined.groupInfo, await newKeys('carol'), 'carol');
  expect(verdict(await commit(service, group.id, 'carol', resync.body))).toEqual([200, undefined]);
});

test('one report of a member from before undoes the trial: a reset without a vote, and the outsider is barred', async () => {
  const { group } = await onTrial();
  expect(verdict(await reset(group.id, 'bob'))).toEqual([403, 'not-allowed']);
  expect((await report(group.id, 'carol', 3)).body).toEqual({ reports: 1, needed: 3, open: true });
  // The outsider itself resets nothing.
  expect(verdict(await reset(group.id, 'mallory'))).toEqual([403, 'not-allowed']);
  const fresh = await localGroup(['bob']);
  const state = fresh.states.get('bob') ?? expect.unreachable();
  expect((await reset(group.id, 'bob', fresh.id)).status).toBe(201);
  const { body } = await service.ask(`GET /v1/conversations/${fresh.id}/members`, { user: 'bob' });
  expect((body.members as { user: string; role: string }[]).map(({ user, role }) => [user, role])).toEqual([
    ['alice', 'admin'],
    ['bob', 'member'],
    ['carol', 'member'],
  ]);
  const groupInfo = wireGroupInfo(await groupInfoOf(state));
  await service.ask(`PUT /v1/conversations/${fresh.id}/group-info`, { user: 'bob', body: { groupInfo } });
  const again = await makeExternal(await groupInfoOf(state), await newKeys('mallory'));
  expect(verdict(await commit(service, fresh.id, 'mallory', again.body))).toEqual([404, 'not-found']);
  const hidden = await service.ask(`GET /v1/conversations/${fresh.id}/group-info`, { user: 'mallory' });
  expect(verdict(hidden)).toEqual([404, 'not-found']);
  // Others may come as before.
  const oscar = await makeExternal(await groupInfoOf(state), await newKeys('oscar'));
  expect(verdict(await commit(service, fresh.id, 'oscar', oscar.body))).toEqual([200, undefined]);
  const { body: audit } = await service.ask(`GET /v1/admin/audit?conversation=${group.id}`, { user: 'operator' });
  expect(audit.entries).toMatchObject([
    { action: 'reset', actor: 'bob', details: { barred: ['mallory'] } },
    { action: 'reset-open' },
    { action: 'report', actor: 'carol', details: { sender: 'mallory' } },
  ]);
  await checkInvariants(database().pool, fresh.id);
});

const MEANWHILE: Record<string, (id: string) => Promise<unknown>> = {
  'at once': () => Promise.resolve(),
  'after days in which nobody followed': (id) =>
    database().pool.query(
      `update member set proven_at = proven_at - interval '3 days' from conversation c where c.key = conversation and c.id = $1`,
      [id],
    ),
  'as an admin': async (id) => {
    const role = { user: 'alice', body: { role: 'admin' } };
    expect((await service.ask(`PUT /v1/conversations/${id}/members/mallory/role`, role)).status).toBe(200);
  },
};

test.each(Object.keys(MEANWHILE))('whom the outsider brought in goes with it: %s', async (name) => {
  const { group, joined } = await onTrial();
  await (MEANWHILE[name] ?? expect.unreachable())(group.id);
  const bundle = await makeBundle(joined.newState);
  const { welcome: _welcome, ...body } = bundle.body;
  // Without a tree the service believes the sender.
  const { pool } = database();
  await pool.query(`update conversation set policy = policy || '{"groupInfo": "optional"}' where id = $1`, [group.id]);
  const sent = { commit: body.commit, adds: ['friend'] };
  expect(verdict(await commit(service, group.id, 'mallory', sent))).toEqual([200, undefined]);
  expect((await say(group.id, 'friend', 3)).status).toBe(200);
  expect((await report(group.id, 'bob', 3)).body).toMatchObject({ open: true });
  const successor = newConversationId();
  expect((await reset(group.id, 'bob', successor)).status).toBe(201);
  const view = await service.ask(`GET /v1/conversations/${successor}`, { user: 'bob' });
  expect(view.body.memberCount).toBe(3);
  expect((await service.ask(`GET /v1/conversations/${successor}`, { user: 'friend' })).status).toBe(404);
});

test('reports of outsiders, of members who never acted, and of entries before undo nothing', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'carol'], { externalJoin: 'anyone' });
  expect((await say(group.id, 'bob', 1)).status).toBe(200);
  const joined = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('mallory'));
  expect(verdict(await commit(service, group.id, 'mallory', joined.body))).toEqual([200, undefined]);
  expect((await report(group.id, 'mallory', 2)).body).toMatchObject({ open: false });
  expect((await report(group.id, 'carol', 2)).body).toMatchObject({ open: false });
  expect(verdict(await reset(group.id, 'bob'))).toEqual([403, 'not-allowed']);
  await database().pool.query(`delete from report where user_id = 'mallory'`);
  expect((await report(group.id, 'bob', 1)).body).toMatchObject({ open: false });
  expect(verdict(await reset(group.id, 'bob'))).toEqual([403, 'not-allowed']);
});

test('once a member has followed, only a vote resets', async () => {
  const { group } = await onTrial();
  expect((await report(group.id, 'carol', 3)).body).toMatchObject({ open: true });
  expect((await say(group.id, 'bob', 2)).status).toBe(200);
  expect(verdict(await reset(group.id, 'carol'))).toEqual([403, 'not-allowed']);
});

test('a member that lets in a friend to undo its trial puts nobody out: an admin resets again, at any time', async () => {
  const { group } = await onTrial();
  await report(group.id, 'bob', 3);
  const taken = newConversationId();
  expect((await reset(group.id, 'bob', taken)).status).toBe(201);
  // Alice has no leaf in bob's group: she changes nothing in it, but she may replace it.
  const role = await service.ask(`PUT /v1/conversations/${taken}/members/bob/role`, {
    user: 'alice',
    body: { role: 'member' },
  });
  expect(verdict(role)).toEqual([403, 'not-allowed']);
  expect(verdict(await reset(taken, 'carol'))).toEqual([403, 'not-allowed']);
  const own = newConversationId();
  expect((await reset(taken, 'alice', own)).status).toBe(201);
  const { body } = await service.ask(`GET /v1/conversations/${own}`, { user: 'alice' });
  expect(body).toMatchObject({ role: 'admin', memberCount: 3 });
  expect((await service.ask(`GET /v1/conversations/${own}`, { user: 'mallory' })).status).toBe(404);
});

test('of many outsiders at the same moment one joins', async () => {
  const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
  const from = await groupInfoOf(group.of('alice'));
  const bundles = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => makeExternal(from, await newKeys(`outsider-${i}`))),
  );
  const answers = await Promise.all(bundles.map(({ body }, i) => commit(service, group.id, `outsider-${i}`, body)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(7);
  const won = bundles[answers.findIndex(({ status }) => status === 200)] ?? expect.unreachable();
  const next = await Promise.all(['x', 'y', 'z'].map((user) => joinAs(group, won, user)));
  expect(next.map(verdict)).toEqual(Array(3).fill([429, 'rate-limited']));
  await checkInvariants(database().pool, group.id);
});

/** A private commit for the epoch after the outsider's, with a GroupInfo of the same tree. */
async function commitIn(id: string, { newState }: Bundle): Promise<object> {
  await database().pool.query(`update conversation set policy = policy || '{"groupInfo": "optional"}' where id = $1`, [
    id,
  ]);
  return { commit: base64(privateMessage(id, Number(newState.groupContext.epoch), 'commit')) };
}

test('an outsider that became admin and resets its own trial stays in the successor, which nobody else could lead', async () => {
  const { group } = await onTrial();
  await MEANWHILE['as an admin']?.(group.id);
  expect((await report(group.id, 'bob', 3)).body).toMatchObject({ open: true });
  const successor = newConversationId();
  expect((await reset(group.id, 'mallory', successor)).status).toBe(201);
  const { body } = await service.ask(`GET /v1/conversations/${successor}`, { user: 'mallory' });
  expect(body).toMatchObject({ role: 'admin', memberCount: 4 });
  await checkInvariants(database().pool, successor);
});
