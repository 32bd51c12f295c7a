import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  CONSENT_REQUEST_LIFETIME_MS,
  MAX_CONSENT_REQUESTS,
  MAX_CONSENT_REQUESTS_PER_ASKER,
} from '../../../domain/limits.ts';
import { sweepConsentRequests } from '../../../store/consent/consent.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64, newConversationId } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { act, create } from '../../harness/inbox.ts';
import { deviceOf, newUser } from '../../harness/key-packages/devices.ts';

/** Who may invite whom. */
const { database, service } = useApi();

/** A user with key packages. */
async function userWithKeys(name: string, mode?: string): Promise<string> {
  const user = newUser(name);
  await (await deviceOf(service, user)).stock(3, true);
  if (mode !== undefined) await setMode(user, mode);
  return user;
}

async function setMode(user: string, mode: string): Promise<void> {
  expect(await service.ask('PUT /v1/consent', { user, body: { mode } })).toMatchObject({ status: 200, body: { mode } });
}

const claim = (claimer: string, user: string, body: object = {}, headers = {}): Promise<Answer> =>
  service.ask(`POST /v1/users/${user}/key-packages/claim`, { user: claimer, body, headers });

/** `3` = so many key packages, or the code of the refusal. */
async function claims(claimer: string, user: string, body: object = {}): Promise<unknown> {
  const answer = await claim(claimer, user, body);
  return answer.body.code ?? (answer.body.keyPackages as unknown[]).length;
}

async function requests(user: string): Promise<string[]> {
  const { body } = await service.ask('GET /v1/consent/requests', { user });
  return (body.requests as { user: string }[]).map((request) => request.user);
}

async function answerRequest(user: string, asker: string, accept: boolean): Promise<number> {
  return (await service.ask(`POST /v1/consent/requests/${asker}`, { user, body: { accept } })).status;
}

/** An opaque conversation of both, in which these have acted. */
async function shared(one: string, other: string, ...acted: string[]): Promise<string> {
  const { id, answer } = await create(service, one, [other]);
  expect(answer.status).toBe(201);
  await act(database().pool, id, ...acted);
  return id;
}

test('anyone may invite a user who has said nothing, and a user reads and sets who may', async () => {
  const [alice, mallory] = [await userWithKeys('alice'), newUser('mallory')];
  expect((await service.ask('GET /v1/consent', { user: alice })).body).toEqual({ mode: 'anyone' });
  expect(await claims(mallory, alice)).toBe(1);
  await setMode(alice, 'nobody');
  expect((await service.ask('GET /v1/consent', { user: alice })).body).toEqual({ mode: 'nobody' });
  await setMode(alice, 'anyone');
  expect(await claims(mallory, alice)).toBe(1);
  const wrong = await service.ask('PUT /v1/consent', { user: alice, body: { mode: 'friends' } });
  expect([wrong.status, wrong.body.code]).toEqual([400, 'malformed']);
});

test('whom a user has not consented to gets no key package, and the user gets one request', async () => {
  const [alice, mallory] = [await userWithKeys('alice', 'nobody'), newUser('mallory')];
  for (let i = 0; i < 3; i++) expect(await claims(mallory, alice)).toBe('consent-required');
  expect((await service.ask('GET /v1/consent/requests', { user: alice })).body).toEqual({
    requests: [{ user: mallory, at: expect.any(String) as string }],
  });
  expect((await service.ask('GET /v1/key-packages', { user: alice, headers: {} })).status).toBe(200);
  const { rows } = await database().pool.query<{ claimed: number }>(
    `select count(claimed_at)::int as claimed from key_package where user_id = $1`,
    [alice],
  );
  expect(rows).toEqual([{ claimed: 0 }]);
});

test('accepted, the asker may invite from then on; refused, it may not, is not told, and does not ask again', async () => {
  const alice = await userWithKeys('alice', 'nobody');
  const [friend, mallory] = [newUser('friend'), newUser('mallory')];
  for (const asker of [friend, mallory]) expect(await claims(asker, alice)).toBe('consent-required');
  expect(await requests(alice)).toEqual([friend, mallory].sort());
  expect(await answerRequest(alice, friend, true)).toBe(204);
  expect(await answerRequest(alice, mallory, false)).toBe(204);
  expect(await requests(alice)).toEqual([]);
  expect(await claims(friend, alice)).toBe(1);
  expect(await claims(mallory, alice)).toBe('consent-required');
  expect(await requests(alice)).toEqual([]);
  // Whom a user refused stays out in every mode.
  await setMode(alice, 'anyone');
  expect(await claims(mallory, alice)).toBe('consent-required');
  // A user may think again.
  expect(await answerRequest(alice, mallory, true)).toBe(204);
  expect(await answerRequest(alice, friend, false)).toBe(204);
  expect([await claims(mallory, alice), await claims(friend, alice)]).toEqual([1, 'consent-required']);
  expect(await answerRequest(alice, newUser('stranger'), true)).toBe(404);
});

test('contacts share a conversation, until one of them leaves it', async () => {
  const alice = await userWithKeys('alice');
  const [bob, mallory] = [newUser('bob'), newUser('mallory')];
  const together = await shared(bob, alice);
  await setMode(alice, 'contacts');
  expect(await claims(bob, alice)).toBe(1);
  expect(await claims(mallory, alice)).toBe('consent-required');
  // No longer together.
  await service.ask(`DELETE /v1/conversations/${together}/members/${bob}`, { user: bob, body: {} });
  expect(await claims(bob, alice)).toBe('consent-required');
});

test('while a user lets only contacts invite it, nobody becomes a contact by putting it into a conversation', async () => {
  const alice = await userWithKeys('alice');
  const mallory = newUser('mallory');
  await setMode(alice, 'contacts');
  for (const protocol of ['mls', 'opaque']) {
    const body = { id: newConversationId(), protocol, members: [alice] };
    expect(await service.ask('POST /v1/conversations', { user: mallory, body })).toMatchObject({
      status: 403,
      body: { code: 'consent-required' },
    });
  }
  expect(await claims(mallory, alice)).toBe('consent-required');
});

test('own devices, and devices for a conversation in which both are, need no consent', async () => {
  const alice = await userWithKeys('alice');
  const laptop = await deviceOf(service, alice, 'laptop');
  const [bob, mallory] = [newUser('bob'), newUser('mallory')];
  const together = await shared(bob, alice, alice);
  const alone = await shared(mallory, alice);
  await setMode(alice, 'nobody');
  expect((await laptop.claim(alice)).keyPackages).toHaveLength(1);
  expect(await claims(bob, alice)).toBe('consent-required');
  expect(await claims(bob, alice, { conversation: together })).toBe(1);
  expect(await claims(mallory, alice, { conversation: alone })).toBe('consent-required');
  expect(await claims(mallory, alice, { conversation: together })).toBe('consent-required');
});

test('a claim that was answered is answered again after the consent ended', async () => {
  const [alice, bob] = [await userWithKeys('alice'), newUser('bob')];
  const headers = { 'Idempotency-Key': randomUUID() };
  const first = await claim(bob, alice, {}, headers);
  await setMode(alice, 'nobody');
  await database().pool.query('delete from idempotency');
  expect((await claim(bob, alice, {}, headers)).body).toEqual(first.body);
  expect(await claims(bob, alice)).toBe('consent-required');
});

test('in opaque conversations, and without a claimed key package, consent is asked where a user becomes a member', async () => {
  const [alice, bob, mallory] = [newUser('alice'), newUser('bob'), newUser('mallory')];
  await setMode(alice, 'nobody');
  const { id } = await create(service, mallory);
  const commit = base64('commit');
  const tries: [string, object][] = [
    [`POST /v1/conversations/${id}/members`, { users: [bob, alice] }],
    [`POST /v1/conversations/${id}/members`, { users: [alice], commit, welcome: base64('welcome') }],
    [`POST /v1/conversations/${id}/commits`, { commit, adds: [alice] }],
    ['POST /v1/conversations', { id: newConversationId(), protocol: 'opaque', members: [alice] }],
    [
      'POST /v1/conversations',
      { id: newConversationId(), members: [alice], policy: { externalJoin: 'nobody', groupInfo: 'optional' } },
    ],
  ];
  for (const [what, body] of tries) {
    const answer = await service.ask(what, { user: mallory, body });
    expect([what, answer.status, answer.body.code]).toEqual([what, 403, 'consent-required']);
    if ('id' in body)
      expect((await service.ask(`GET /v1/conversations/${String(body.id)}`, { user: mallory })).status).toBe(404);
  }
  expect((await service.ask('GET /v1/conversations', { user: alice })).body.conversations).toEqual([]);
  expect((await service.ask(`GET /v1/conversations/${id}/members`, { user: mallory })).body.members).toHaveLength(1);
  expect(await requests(alice)).toEqual([mallory]);
  await answerRequest(alice, mallory, true);
  for (const [what, body] of tries.slice(3))
    expect((await service.ask(what, { user: mallory, body })).status).toBe(201);
  const added = await service.ask(`POST /v1/conversations/${id}/members`, {
    user: mallory,
    body: { users: [alice, bob] },
  });
  expect(added.status).toBe(200);
});

test('a user who left a conversation is not put back into it without consent', async () => {
  const [alice, mallory] = [newUser('alice'), newUser('mallory')];
  const { id } = await create(service, mallory, [alice]);
  await setMode(alice, 'contacts');
  await service.ask(`DELETE /v1/conversations/${id}/members/${alice}`, { user: alice, body: {} });
  const again = await service.ask(`POST /v1/conversations/${id}/members`, { user: mallory, body: { users: [alice] } });
  expect(again.body.code).toBe('consent-required');
});

test('one user has a bounded number of requests with others, and the newest of many reach a user', async () => {
  const mallory = newUser('mallory');
  const askedBy = (asker: string, users: readonly string[]): Promise<Answer> =>
    create(service, asker, users).then(({ answer }) => answer);
  const users = Array.from({ length: MAX_CONSENT_REQUESTS_PER_ASKER + 5 }, () => newUser('asked'));
  await database().pool.query(`insert into consent (user_id, mode) select unnest($1::text[]), 'nobody'`, [users]);
  expect((await askedBy(mallory, users)).body.code).toBe('consent-required');
  const made = await database().pool.query(`select from consent_request where asker = $1`, [mallory]);
  expect(made.rowCount).toBe(MAX_CONSENT_REQUESTS_PER_ASKER);

  const alice = newUser('alice');
  await setMode(alice, 'nobody');
  await database().pool.query(
    `insert into consent_request (user_id, asker, at)
     select $1, 'sybil-' || n, clock_timestamp() - interval '1 hour' from generate_series(1, $2) n`,
    [alice, MAX_CONSENT_REQUESTS],
  );
  const friend = newUser('friend');
  expect((await askedBy(friend, [alice])).body.code).toBe('consent-required');
  const { body } = await service.ask('GET /v1/consent/requests?limit=60', { user: alice });
  const rest = await service.ask(`GET /v1/consent/requests?limit=60&cursor=${String(body.next)}`, { user: alice });
  const all = [...(body.requests as { user: string }[]), ...(rest.body.requests as { user: string }[])];
  expect(all).toHaveLength(MAX_CONSENT_REQUESTS);
  expect(all.map(({ user }) => user)).toContain(friend);
});

test('a request that was not answered is gone after its time, and may be made again', async () => {
  const { pool } = database();
  const [alice, bob] = [newUser('alice'), newUser('bob')];
  await setMode(alice, 'nobody');
  const { answer } = await create(service, bob, [alice]);
  expect(answer.body.code).toBe('consent-required');
  const age = (ms: number): Promise<unknown> =>
    pool.query(`update consent_request set at = $2 where user_id = $1`, [alice, new Date(Date.now() - ms)]);
  await age(CONSENT_REQUEST_LIFETIME_MS + 1000);
  expect(await requests(alice)).toEqual([]);
  expect(await answerRequest(alice, bob, true)).toBe(404);
  await create(service, bob, [alice]);
  expect(await requests(alice)).toEqual([bob]);
  await age(CONSENT_REQUEST_LIFETIME_MS + 1000);
  expect(await sweepConsentRequests(pool)).toBe(1);
});
