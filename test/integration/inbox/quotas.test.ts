import { expect, test } from 'vitest';
import {
  MAX_INBOX_BYTES,
  MAX_INBOX_WELCOMES,
  MAX_INVITATION_LOCKS,
  MAX_UNKNOWN_INVITATIONS,
  MAX_WELCOMES_PER_INVITER,
  MAX_WELCOME_BYTES_PER_INVITER,
} from '../../../domain/limits.ts';
import { decide } from '../../../store/decision/decide.ts';
import { retain } from '../../../store/retention/retention.ts';
import { wakeEvictedWelcomes } from '../../../store/welcome/welcomes.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { act, create, inbox, inboxBytes, invite } from '../../harness/inbox.ts';
import { claimed, commit } from '../../harness/key-packages/bundles.ts';
import { newUser } from '../../harness/key-packages/devices.ts';
import { startConversation } from '../../harness/requests.ts';

/** What others may put into an inbox. */
const { database, service } = useApi();
const MB = 1024 * 1024;

const statuses = (answers: readonly { readonly answer: Answer }[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { answer } of answers) {
    const key = (answer.body.code as string | undefined) ?? String(answer.status);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
};

const conversationsOf = async (user: string): Promise<number> => {
  const { rows } = await database().pool.query<{ count: number }>(
    `select count(*)::int as count from member where user_id = $1 and left_seq is null`,
    [user],
  );
  return rows[0]?.count ?? 0;
};

/** Fills an inbox with Welcomes of other inviters, as if they had come over days. */
async function fill(user: string, inviters: number, each: number, size: number): Promise<void> {
  const { id: prefix } = await create(service, newUser('filler'));
  await database().pool.query(
    `insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
     select $1 || '-' || n || '-' || k, 'opaque', 0, 1, '{}', 'filler', ''
     from generate_series(1, $2::int) n, generate_series(1, $3::int) k`,
    [prefix, inviters, each],
  );
  await database().pool.query(
    `insert into welcome (conversation, user_id, seq, epoch, inviter, size)
     select key, $1, 1, 1, 'filler-' || split_part(substr(id, length($2) + 2), '-', 1), $3
     from conversation where id like $2 || '-%'`,
    [user, prefix, size],
  );
}

test('a stranger puts a share of Welcomes and memberships on a user, and no more; a friend is not in its way', async () => {
  const [victim, mallory, friend] = [newUser('victim'), newUser('mallory'), newUser('friend')];
  const answers = [];
  for (let i = 0; i < 60; i++) answers.push(await invite(service, mallory, victim, 525_000));
  const accepted = Math.floor(MAX_WELCOME_BYTES_PER_INVITER / 525_000);
  expect(statuses(answers)).toEqual({ 200: accepted, 'rate-limited': 60 - accepted });
  const refused = answers.at(-1)?.answer;
  expect([refused?.status, refused?.headers.get('retry-after')]).toEqual([429, '3600']);
  expect(await conversationsOf(victim)).toBe(accepted);
  expect(await inboxBytes(database().pool, victim)).toBeLessThanOrEqual(MAX_WELCOME_BYTES_PER_INVITER);
  const { id, answer } = await invite(service, friend, victim, 525_000);
  expect(answer.status).toBe(200);
  expect(await inbox(service, victim)).toContain(id);
});

test('small Welcomes are counted, also when they come at the same time', async () => {
  const [victim, mallory] = [newUser('victim'), newUser('mallory')];
  const answers = await Promise.all(Array.from({ length: 60 }, () => invite(service, mallory, victim)));
  expect(statuses(answers)).toEqual({ 200: MAX_WELCOMES_PER_INVITER, 'rate-limited': 60 - MAX_WELCOMES_PER_INVITER });
  expect(await inbox(service, victim)).toHaveLength(MAX_WELCOMES_PER_INVITER);
  // Refused before anything is stored.
  expect(await conversationsOf(victim)).toBe(MAX_WELCOMES_PER_INVITER);
  // What the user takes up makes room.
  const { body } = await service.ask('GET /v1/welcomes', { user: victim });
  const [welcome] = body.welcomes as { id: string }[];
  await service.ask(`POST /v1/welcomes/${welcome?.id}/ack`, { user: victim, body: {} });
  expect(statuses([await invite(service, mallory, victim), await invite(service, mallory, victim)])).toEqual({
    200: 1,
    'rate-limited': 1,
  });
});

test('one commit for very many users holds one lock, and its Welcomes count all the same', async () => {
  const [victim, mallory] = [newUser('victim'), newUser('mallory')];
  const many = Array.from({ length: MAX_INVITATION_LOCKS }, () => newUser('other'));
  const inviteMany = async (): Promise<{ answer: Answer }> => {
    const { id } = await create(service, mallory);
    const body = { users: [victim, ...many], commit: base64('commit'), welcome: base64('welcome') };
    return { answer: await service.ask(`POST /v1/conversations/${id}/members`, { user: mallory, body }) };
  };
  const each = MAX_WELCOMES_PER_INVITER / 2 + 4;
  const answers = await Promise.all(
    Array.from({ length: each }, () => [inviteMany(), invite(service, mallory, victim)]).flat(),
  );
  // Large invitations of one inviter do not wait for one another, so some were refused before there were enough.
  const together = answers.filter(({ answer }) => answer.status === 200).length;
  expect(together).toBeLessThanOrEqual(MAX_WELCOMES_PER_INVITER);
  const later: { answer: Answer }[] = [];
  for (let n = together; n <= MAX_WELCOMES_PER_INVITER; n++) later.push(await inviteMany());
  expect(statuses([...answers, ...later])).toEqual({
    200: MAX_WELCOMES_PER_INVITER,
    'rate-limited': 2 * each - together + 1,
  });
});

test('memberships without a Welcome are bounded for inviters whom the user does not know', async () => {
  const { pool } = database();
  const [victim, mallory] = [newUser('victim'), newUser('mallory')];
  const { id } = await create(service, mallory);
  await pool.query(
    `insert into invitation (user_id, inviter, conversation, at)
     select $1, $2, 0, clock_timestamp() - interval '1 hour' from generate_series(1, $3) n`,
    [victim, mallory, MAX_UNKNOWN_INVITATIONS - 1],
  );
  expect((await create(service, mallory, [victim])).answer.status).toBe(201);
  const refused = await create(service, mallory, [newUser('other'), victim]);
  expect(statuses([refused])).toEqual({ 'rate-limited': 1 });
  const wait = Number(refused.answer.headers.get('retry-after'));
  expect(wait).toBeGreaterThan(22 * 3600);
  expect(wait).toBeLessThanOrEqual(23 * 3600);
  expect((await service.ask(`GET /v1/conversations/${refused.id}`, { user: mallory })).status).toBe(404);
  const added = await service.ask(`POST /v1/conversations/${id}/members`, { user: mallory, body: { users: [victim] } });
  expect([added.status, added.body.code]).toEqual([429, 'rate-limited']);
  // Nobody else is affected.
  expect((await create(service, newUser('friend'), [victim])).answer.status).toBe(201);
  // A day later there is room again.
  await pool.query(`update invitation set at = at - interval '23 hours' where inviter = $1`, [mallory]);
  expect((await create(service, mallory, [victim])).answer.status).toBe(201);
});

test('a chain of resets counts like creations', async () => {
  const [victim, mallory] = [newUser('victim'), newUser('mallory')];
  const { id } = await create(service, mallory, [victim]);
  await database().pool.query(
    `insert into invitation (user_id, inviter, conversation) select $1, $2, 0 from generate_series(1, $3) n`,
    [victim, mallory, MAX_UNKNOWN_INVITATIONS - 2],
  );
  const reset = (of: string, successor: string): Promise<Answer> =>
    service.ask(`POST /v1/conversations/${of}/reset`, { user: mallory, body: { successor } });
  expect((await reset(id, `${id}ab`)).status).toBe(201);
  expect((await reset(`${id}ab`, `${id}cd`)).body.code).toBe('rate-limited');
});

test('whom the user knows has no such limit: it acted in a conversation of both, or accepted a request', async () => {
  const { pool } = database();
  const [alice, bot, friend, acted] = [newUser('alice'), newUser('bot'), newUser('friend'), newUser('acted')];
  for (const inviter of [bot, friend]) {
    await pool.query(
      `insert into invitation (user_id, inviter, conversation) select $1, $2, 0 from generate_series(1, $3) n`,
      [alice, inviter, MAX_UNKNOWN_INVITATIONS],
    );
    expect((await create(service, inviter, [alice])).answer.body.code).toBe('rate-limited');
  }
  const { id } = await create(service, alice, [bot]);
  await act(pool, id, alice);
  expect((await create(service, bot, [alice])).answer.status).toBe(201);
  await pool.query(`insert into consent_request (user_id, asker, state) values ($1, $2, 'accepted')`, [alice, friend]);
  expect((await create(service, friend, [alice])).answer.status).toBe(201);
  // And conversations in which the user has acted do not count.
  const first = await create(service, acted, [alice]);
  await pool.query(
    `insert into invitation (user_id, inviter, conversation)
     select $1, $2, key from conversation, generate_series(1, $3) n where id = $4`,
    [alice, acted, MAX_UNKNOWN_INVITATIONS, first.id],
  );
  await act(pool, first.id, alice);
  await service.ask(`DELETE /v1/conversations/${first.id}/members/${acted}`, { user: acted, body: {} });
  expect((await create(service, acted, [alice])).answer.status).toBe(201);
});

test('a full inbox takes the Welcome of a friend, in place of the oldest of whoever holds most', async () => {
  const { pool } = database();
  const [victim, mallory, friend] = [newUser('victim'), newUser('mallory'), newUser('friend')];
  const theirs = [];
  for (let i = 0; i < 3; i++) theirs.push((await invite(service, mallory, victim, 2 * MB)).id);
  await fill(victim, 26, 1, MB);
  expect(await inboxBytes(pool, victim)).toBe(MAX_INBOX_BYTES);
  const { id, answer } = await invite(service, friend, victim, MB);
  expect(answer.status).toBe(200);
  const waiting = await inbox(service, victim);
  expect(waiting).toContain(id);
  expect(theirs.filter((conversation) => waiting.includes(conversation))).toEqual(theirs.slice(1));
  expect(await inboxBytes(pool, victim)).toBeLessThanOrEqual(MAX_INBOX_BYTES);

  // The device learns that it has to join in another way, by the timer of that conversation.
  expect(await wakeEvictedWelcomes(pool)).toBe(1);
  const [evicted = ''] = theirs;
  expect((await decide(pool, evicted, [])).facts.dueAt).toBeLessThanOrEqual(Date.now());
  expect(await retain(pool, evicted, Date.now(), 10)).toEqual({ changed: true });
  const { rows } = await pool.query(
    `select h.data, (select count(*)::int from welcome_body where conversation = c.key) as bodies
     from change h join conversation c on c.key = h.conversation where c.id = $1 and h.kind = 'welcome-expired'`,
    [evicted],
  );
  expect(rows).toEqual([{ data: { user: victim, device: '' }, bodies: 0 }]);
  expect(await wakeEvictedWelcomes(pool)).toBe(0);
});

test('many small Welcomes fill an inbox too, and those of strangers go before those of somebody whom the user knows', async () => {
  const { pool } = database();
  const [victim, friend, other] = [newUser('victim'), newUser('friend'), newUser('other')];
  const { id: together } = await create(service, victim, [friend]);
  await act(pool, together, victim);
  const theirs = [];
  // The friend holds most.
  for (let i = 0; i < 5; i++) theirs.push((await invite(service, friend, victim)).id);
  await fill(victim, (MAX_INBOX_WELCOMES - 5) / 3, 3, 10);
  expect(await inbox(service, victim)).toHaveLength(5);
  const { id } = await invite(service, other, victim);
  const { rows } = await pool.query<{ kept: number }>(
    `select count(*)::int as kept from welcome where user_id = $1 and expires_at > clock_timestamp()`,
    [victim],
  );
  expect(rows).toEqual([{ kept: MAX_INBOX_WELCOMES }]);
  expect((await inbox(service, victim)).sort()).toEqual([...theirs, id].sort());
});

test('a Welcome of an admin is not replaced by that of a member who may not add users', async () => {
  const { pool } = database();
  const policy = { whoMayAdd: 'admin' } as const;
  const dave = { user: newUser('dave'), device: 'phone' };
  const conversation = await startConversation(pool, { policy, members: ['alice', 'bob'] });
  const outcome = await commit(pool, conversation, 0, { adds: [dave.user], refs: [await claimed(pool, dave)] });
  expect(outcome).toMatchObject({ status: 'accepted' });
  const waiting = async (): Promise<unknown[]> =>
    (await pool.query<object>(`select inviter, seq from welcome where user_id = $1`, [dave.user])).rows;
  expect(await waiting()).toEqual([{ inviter: 'alice', seq: 1 }]);
  await act(pool, conversation, dave.user);

  const again = await claimed(pool, dave);
  await pool.query(`update claim set user_id = 'bob' where ref = decode($1, 'hex')`, [again]);
  const replacing = await commit(pool, conversation, 1, { adds: [dave.user], refs: [again] }, 'bob');
  expect(replacing).toMatchObject({ status: 'refused', code: 'not-allowed' });
  expect(await waiting()).toEqual([{ inviter: 'alice', seq: 1 }]);

  // Another device, the same sender, an admin, and the device after it was added again: all as before.
  const laptop = await claimed(pool, { ...dave, device: 'laptop' });
  await pool.query(`update claim set user_id = 'bob' where ref = decode($1, 'hex')`, [laptop]);
  expect(await commit(pool, conversation, 1, { adds: [dave.user], refs: [laptop] }, 'bob')).toMatchObject({ seq: 2 });
  const more = await claimed(pool, { ...dave, device: 'laptop' });
  expect(await commit(pool, conversation, 2, { adds: [dave.user], refs: [more] })).toMatchObject({ seq: 3 });
  expect(await waiting()).toEqual(
    expect.arrayContaining([
      { inviter: 'alice', seq: 1 },
      { inviter: 'alice', seq: 3 },
    ]),
  );
});

test('while somebody creates a large conversation, its add elsewhere holds up nobody there (invariant 14)', async () => {
  const { pool } = database();
  const [mallory, bob] = [newUser('mallory'), newUser('bob')];
  const { id } = await create(service, mallory, [bob]);
  const client = await pool.connect();
  await client.query('begin');
  const many = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  await client.query('select lock_invitations($1, $2, true)', [mallory, many]);
  const path = `/v1/conversations/${id}`;
  const add = service.ask(`POST ${path}/members`, { user: mallory, body: { users: [newUser('carol')] } });
  const message = { user: bob, body: { id: 'm', ciphertext: 'AAAA' } };
  expect((await service.ask(`POST ${path}/messages`, message)).status).toBe(200);
  expect([(await add).status, (await add).body.code]).toEqual([429, 'rate-limited']);
  await client.query('commit');
  client.release();
  const again = { user: mallory, body: { users: [newUser('carol')] } };
  expect((await service.ask(`POST ${path}/members`, again)).status).toBe(200);
});
