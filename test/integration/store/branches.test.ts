import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IncrementCommand } from '../../../domain/command.ts';
import type { Decision } from '../../../domain/decision.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { createConversation } from '../../../store/conversation/conversations.ts';
import { listChangedConversations } from '../../../store/conversation/lists.ts';
import { decide } from '../../../store/decision/decide.ts';
import { answerConsentRequest } from '../../../store/consent/consent.ts';
import { readEarlierAnswer } from '../../../store/decision/earlier-answer.ts';
import type { OperationJson } from '../../../store/decision/inline-operation.ts';
import { storeIncrement } from '../../../store/log/increments.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { acknowledge } from '../../../store/device/positions.ts';
import { endOldWakes, settleCursors } from '../../../store/push/deliveries.ts';
import { recordStreams } from '../../../store/push/open-streams.ts';
import { acknowledgeWake } from '../../../store/push/targets.ts';
import { eraseUser } from '../../../store/device/account.ts';
import { deleteByOperator } from '../../../store/conversation/operator-delete.ts';
import { forgetDevice, touchDevices } from '../../../store/device/devices.ts';
import { offerTree } from '../../../store/group-info/group-info.ts';
import { claimForUsers } from '../../../store/key-package/group-claims.ts';
import { type NewKeyPackage, claimKeyPackages, uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { purgeDeleted, retain } from '../../../store/retention/retention.ts';
import { acknowledgeWelcome, listWelcomes } from '../../../store/welcome/welcomes.ts';
import {
  beginOffBoarding,
  endOffBoarding,
  nextTargets,
  removeOwnDevice,
  workOff,
} from '../../../store/off-boarding/off-boardings.ts';
import { proposeRemoval } from '../../../store/off-boarding/removals.ts';
import { useDatabase } from '../../harness/database.ts';
import { later, look, registerDevice } from '../../harness/push.ts';
import { Model } from '../../harness/model.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';
import { countBranches, instrument } from '../../harness/plpgsql-branches.ts';
import { forgetChain } from '../../harness/older-chain.ts';
import { USERS, anyStep, makeRequests } from '../../harness/random-requests.ts';
import { holdRows } from '../../harness/row-locks.ts';
import { type Request, send, sendStaged, sha256, startConversation } from '../../harness/requests.ts';

/** Creating a PL/pgSQL function checks little: a missing table, function or field shows only when its line runs. */
const database = useDatabase();

test('every branch of every SQL function runs', async () => {
  const { pool } = database();
  const { branches, neverRan } = await countBranches(pool);
  expect(branches.length).toBeGreaterThan(150);
  await randomRequests();
  await messagesAndRoles();
  await commits();
  await keyPackagesAndWelcomes();
  await inboxes();
  await busyInviters();
  await repair();
  await evidence();
  await increments();
  await retention();
  await deletions();
  await sweeps();
  await offBoardings();
  await locks();
  await wakeUps();
  await positions();
  const missing = await neverRan();
  expect(missing.map(({ function: name, line, what }) => `${name} line ${line}: ${what}`)).toEqual([]);
}, 60_000);

/** Positions that operations state: of a member, of a former one, and of an outsider who may join. */
async function positions(): Promise<void> {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque', policy: { externalJoin: 'anyone' } });
  await ask(conversation, { kind: 'commit', epoch: 0, size: 0, removes: ['bob'] });
  for (const actor of ['alice', 'bob', 'mallory']) {
    const position = '0.AAAAAAAAAAAAAAAA';
    await ask(conversation, { kind: 'commit', external: true, epoch: 1, sha256: SHA256, actor, position });
  }
}

/** Increments between their answer and their count. */
async function increments(): Promise<void> {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const increment = (id: string): IncrementCommand => ({ kind: 'increment', id, actor: 'alice', by: 1 });
  const count = (...stored: (OperationJson | undefined)[]): Promise<Decision> =>
    decide(
      pool,
      conversation,
      stored.filter((one) => one !== undefined),
    );
  await storeIncrement(pool, 'none', increment('a'));
  const { stored } = await storeIncrement(pool, conversation, increment('a'));
  await storeIncrement(pool, conversation, increment('a'));
  await count(stored, stored);
  const { stored: both } = await storeIncrement(pool, conversation, increment('b'));
  await count(increment('b'), both);
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await storeIncrement(holder as unknown as typeof pool, conversation, increment('c'));
    const same = storeIncrement(pool, conversation, increment('c'));
    const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%store_increment%'`;
    await waitUntil(async () => (await pool.query(waits)).rowCount === 1, { what: 'the second one waits' });
    await holder.query('commit');
    await same;
  } finally {
    holder.release();
  }
}

test('branches are found in statements, and not in expressions', () => {
  const body = `declare x int := case when true then 1 else 2 end;
begin
  if (select case when a then b else c end) then
    x := 1; -- if then
  elsif x = 2 then x := case x when 1 then 2 else 3 end;
  end if;
  for r in select 'if then' from t loop null; end loop;
  case x when 1, 2 then null; else raise exception 'no'; end case;
end `;
  const found: string[] = [];
  const counted = instrument(body, (line, what) => {
    found.push(`${line} ${what}`);
    return '!';
  });
  expect(found).toEqual([
    '2 begin',
    '3 if (select case when a then b else c end) then',
    '5 elsif x = 2 then',
    '6 else (left out)',
    "7 for r in select 'if then' from t loop",
    '8 case x when 1, 2 then',
    '8 else',
  ]);
  expect(counted.split('!').length).toBe(8);
});

const BYTES = [Buffer.from('bytes'), Buffer.from('welcome'), Buffer.from('group info')];
const SHA256 = sha256('bytes').toString('hex');
const DAY_MS = 86_400_000;
let count = 0;

/** Operations by alice, unless they say otherwise, in one batch; what becomes of them is for other tests to say. */
async function ask(conversation: string, ...operations: Record<string, unknown>[]): Promise<Decision> {
  const named = operations.map((operation) => ({ id: `op-${count++}`, actor: 'alice', size: 1, ...operation }));
  return decide(database().pool, conversation, named as never, BYTES);
}

function commit(epoch: number, more: object = {}): Record<string, unknown> {
  const hash = sha256(`commit ${count++}`).toString('hex');
  return { kind: 'commit', sha256: hash, epoch, deferred: true, bytes: { ciphertext: 1 }, ...more };
}

function message(id: string, more: object = {}): Record<string, unknown> {
  return { kind: 'message', id, sha256: SHA256, epoch: 0, bytes: { ciphertext: 1 }, ...more };
}

function run(name: string): Record<string, unknown>[] {
  return Array.from({ length: 9 }, (_, i) => message(`${name}-${i}`));
}

function sql(text: string, ...values: unknown[]): Promise<unknown> {
  return database().pool.query(text, values);
}

function lookUp(conversation: string, operation: object): Promise<unknown> {
  return readEarlierAnswer(database().pool, conversation, { actor: 'alice', ...operation } as never);
}

async function messagesAndRoles(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool);
  await ask(id, ...run('a'));
  await ask(id, ...run('a'));
  await ask(id, ...run('b').slice(1), message('b-1'));
  await ask(id, message('m'), message('m', { sha256: 'ff' }), message('gone', { actor: undefined, body: 1 }));
  await ask(id, { kind: 'role', user: 'mallory', role: 'admin' }, { kind: 'role', user: 'alice', role: 'member' });
  await ask(id, { kind: 'read', body: 1 });
  await expect(ask(id, { kind: 'nonsense' })).rejects.toThrow('unknown operation kind nonsense');
  for (const operation of [message('m'), message('new'), { kind: 'group-info', id: 'x' }, { kind: 'read', id: 'x' }]) {
    await lookUp(id, operation);
  }
  await lookUp(id, { kind: 'commit', id: 'x' });
  await lookUp(id, { kind: 'leave', id: 'x' });
  await lookUp('nowhere', message('m'));

  // Leaves: without the bytes of the proposal, with one that is in the log already, twice, and of a last admin.
  const proposal = { sha256: SHA256, epoch: 0, actor: 'bob' };
  await ask(id, { kind: 'leave', ...proposal });
  await ask(id, message('p', { ...proposal, type: 'proposal' }), { kind: 'leave', id: 'p', ...proposal });
  await ask(id, { kind: 'leave', actor: 'bob' });
  await ask(id, ...[1, 2, 3, 4].map((n) => message(`p${n}`, { type: 'proposal' })));
  await ask(id, { kind: 'policy', policy: { lastAdmin: 'refuse' } }, { kind: 'leave' });
  await ask(id, commit(0, { actor: 'carol', removes: ['alice'] }));

  for (const taken of [`${id}-new`, id]) {
    await createConversation(pool, {
      id: taken,
      protocol: 'mls',
      epoch: 0,
      creator: 'alice',
      members: [],
      policy: makePolicy({}, { epochWindow: 2 }),
      groupInfo: Buffer.from('group info'),
      fingerprint: Buffer.from(''),
    });
  }
  await ask(id, { kind: 'delete' });
  await ask(id, message('late'));
  for (let i = 0; i < 99; i++) if (await purgeDeleted(pool, id, 2)) break;
  await purgeDeleted(pool, 'nowhere', 2);
}

async function commits(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool, { policy: { maxMembers: 4, externalJoin: 'anyone' } });
  await ask(id, commit(0, { dropped: ['carol'] }));
  await ask(id, commit(0, { adds: ['dave', 'erin'] }));
  await ask(id, commit(0, { leaves: ['alice', 'bob', 'carol', 'mallory'] }), commit(0, { leaves: ['alice'] }));
  await ask(id, commit(0, { leaves: ['alice', 'bob', 'carol'] }));
  await ask(id, commit(1, { actor: 'erin', external: true }));
  // Leaves of devices, and one that left.
  const noted = await startConversation(pool);
  const phone = { device: 'phone', goneLeaves: ['aa'] };
  await ask(noted, { kind: 'leave', actor: 'carol' }, commit(0, { ...phone, leaf: 'bb', leaves: ['alice', 'bob'] }));
  await ask(noted, commit(1, { ...phone, actor: 'bob', leaf: 'cc', external: true }));
  await ask(
    noted,
    { kind: 'leave', actor: 'bob' },
    commit(2, { removes: ['bob'], kept: ['bob'], leaves: ['alice', 'bob'] }),
  );
  await ask(noted, commit(3, { removes: ['zoe'], kept: ['zoe'] }));
  // Requests to join: the first, a second one, and ones whose key package does not do.
  const part = { suite: 1, notAfter: Date.now() + DAY_MS, leafNode: 'aa', offset: 0, size: 1 };
  const keys = (...of: string[]): object => ({ init: of[0], encryption: of[1], signature: of[2] });
  const request = (user: string, content: object): Record<string, unknown> => ({
    kind: 'join-request',
    actor: user,
    sha256: sha256(user).toString('hex'),
    epoch: 0,
    device: 'phone',
    bytes: { ciphertext: 1 },
    package: { ...part, ...content },
  });
  const asked = await startConversation(pool, { policy: { externalJoin: 'request' } });
  await ask(asked, request('dave', { ref: '01', keys: keys('01', '02', '03') }));
  await ask(asked, request('dave', { ref: '02', keys: keys('04', '05', '06') }));
  await ask(asked, { ...request('dave', { ref: '02', keys: keys('04', '05', '06') }), sha256: 'ff' });
  await ask(asked, request('erin', { ref: '03', keys: keys('01', '08', '09') }));
  await ask(asked, request('frank', { ref: '04', notAfter: 1, keys: keys('0a', '0b', '0c') }));
  await ask(asked, { kind: 'group-info', epoch: 0, suite: 1, checked: true, bytes: { groupInfo: 3 } });
  await ask(asked, request('gina', { ref: '05', suite: 2, keys: keys('0d', '0e', '0f') }));
  await ask(noted, { kind: 'group-info', epoch: 3, device: 'phone', leaf: 'bb', bytes: { groupInfo: 3 } });
  const supply = { kind: 'group-info', epoch: 2, bytes: { groupInfo: 3 } };
  await ask(id, { ...supply, leaves: ['mallory'] }, { ...supply, leaves: ['alice', 'bob', 'carol', 'erin'] }, supply);
  // A GroupInfo of the same epoch: of a member, of an admin, of another cipher suite, and without what the policy requires.
  const other = { ...supply, bytes: { groupInfo: 1 }, suite: 1, checked: true } as const;
  await ask(id, { ...other, actor: 'bob' }, { ...other, computed: true });
  await ask(id, { ...other, bytes: { groupInfo: 2 }, suite: 2 });
  const strict = await startConversation(pool, { policy: { groupInfo: 'required', externalJoin: 'nobody' } });
  const first = { ...supply, epoch: 0 };
  await ask(strict, { ...first, lacks: ['ratchet_tree'] }, { ...first, lacks: ['external_pub'] });
  await offerTree(pool, id, { sha256: Buffer.alloc(32), tree: Buffer.alloc(1) });
  const bare = await startConversation(pool, { protocol: 'opaque' });
  await ask(bare, { kind: 'group-info', epoch: 0, bytes: { groupInfo: 3 } });

  // Commit contention.
  for (let i = 0; i < 6; i++) await ask(bare, commit(i));
  for (let i = 0; i < 3; i++) await ask(bare, commit(0, { actor: 'bob' }));
  await ask(bare, commit(0), commit(6));
  await sql(`update race set won = '{}'`);
  await ask(bare, commit(6, { deferred: undefined }), commit(6, { deferred: undefined, removes: ['bob'] }));
}

async function keyPackagesAndWelcomes(): Promise<void> {
  const { pool } = database();
  const dave = { user: 'dave', device: 'phone' };
  const pack = (more: Partial<NewKeyPackage> = {}): NewKeyPackage => newKeyPackage(more);
  const packs = [pack(), pack(), pack()];
  await uploadKeyPackages(pool, dave, packs, false);
  // The init key of another package.
  await uploadKeyPackages(pool, dave, [pack({ keys: packs[0]?.keys ?? pack().keys })], false);
  await uploadKeyPackages(pool, dave, packs, false);
  await uploadKeyPackages(pool, { user: 'dave', device: 'laptop' }, packs, false);
  await uploadKeyPackages(
    pool,
    dave,
    Array.from({ length: 501 }, () => pack()),
    false,
  );
  await uploadKeyPackages(pool, dave, [pack({ lastResort: true })], false);
  await uploadKeyPackages(pool, dave, [...packs, pack({ lastResort: true })], true);

  const claim = (claimer: string, operationId: string, perMinute = 300): Promise<unknown> =>
    claimKeyPackages(pool, {
      operationId,
      claimer: { user: claimer, device: 'phone' },
      user: 'dave',
      devices: undefined,
      cipherSuite: undefined,
      conversation: undefined,
      perMinute,
    });
  await claim('bob', 'no limits', 0);
  await sql(`select claimable_suite('bob', 'a conversation', null)`);
  for (const operationId of ['a', 'a', 'b', 'c', 'd']) await claim('alice', operationId);
  await claim('alice', 'e', 1);
  await uploadKeyPackages(
    pool,
    { user: 'dave', device: 'tablet' },
    Array.from({ length: 30 }, () => pack()),
    false,
  );
  await sql(`delete from claim where user_id = 'alice' and operation = 'd'`);
  for (let i = 0; i < 25; i++) await claim('alice', `many ${i}`);
  const group = (operationId: string, usersPerMinute: number, isLimitedByDevice = true): Promise<unknown> =>
    claimForUsers(pool, {
      operationId,
      claimer: { user: 'alice', device: 'phone' },
      users: ['dave', 'nobody'],
      cipherSuite: undefined,
      conversation: undefined,
      usersPerMinute,
      isLimitedByDevice,
    });
  for (const operationId of ['group', 'group', 'of a second group']) await group(operationId, 2);
  await group('a group without limits', 0, false);
  await sql(`delete from key_package where device_id = 'phone' and last_resort`);
  await claim('alice', 'exhausted');

  const { rows } = await pool.query<{ ref: string; device: string }>(
    `select encode(ref, 'hex') as ref, device_id as device from key_package k
     where claimed_at is not null and exists (select from claim where ref = k.ref and user_id = 'alice')`,
  );
  const phone = rows.find(({ device }) => device === 'phone')?.ref ?? expect.unreachable();
  const [tablet, again, stale] = rows.filter(({ device }) => device === 'tablet').map(({ ref }) => ref);
  await sql(`update key_package set replaced_at = now() where encode(ref, 'hex') = $1`, stale);
  const id = await startConversation(pool);
  const welcome = (refs: unknown[], adds = ['dave']): Record<string, unknown> =>
    commit(0, { adds, refs, bytes: { ciphertext: 1, welcome: 2, groupInfo: 3 } });
  await ask(id, welcome(['00']), welcome([stale]), welcome([tablet, again]), welcome([tablet], ['dave', 'erin']));
  await ask(id, welcome([phone, tablet]));
  await ask(id, commit(1, { uses: [again] }));
  const opaque = await startConversation(pool, { protocol: 'opaque' });
  await ask(opaque, welcome([]), commit(1, { bytes: { ciphertext: 1, welcome: 2 } }));
  const { welcomes } = await listWelcomes(pool, dave);
  for (const { id: welcomeId } of [...welcomes, ...welcomes]) await acknowledgeWelcome(pool, dave, welcomeId);
  await forgetDevice(pool, { user: 'dave', device: 'tablet' });
  await forgetDevice(pool, { user: 'dave', device: 'tablet' });
  await eraseUser(pool, 'dave');
}

async function inboxes(): Promise<void> {
  const { pool } = database();
  await listChangedConversations(pool, 'alice', { since: undefined }, 10);
  await sql(`insert into consent (user_id, mode) select 'private-' || n, 'nobody' from generate_series(1, 60) n`);
  const refused = Array.from({ length: 60 }, (_, i) => `private-${i + 1}`);
  const id = await startConversation(pool, { protocol: 'opaque', members: [] });
  const add = (adds: string[], more: object = {}): Record<string, unknown> => commit(0, { adds, ...more });
  for (const adds of [refused, ['private-1']]) await ask(id, add(adds));
  await claimKeyPackages(pool, {
    operationId: 'private',
    claimer: { user: 'bob', device: 'phone' },
    user: 'private-1',
    devices: undefined,
    cipherSuite: undefined,
    conversation: undefined,
    perMinute: 0,
  });
  await answerConsentRequest(pool, 'private-1', 'bob', true);
  await expect(startConversation(pool, { members: ['private-2'] })).rejects.toThrow('consent-required');

  await sql(`insert into invitation select 'known-to-nobody', 'alice', 0 from generate_series(1, 500)`);
  await ask(id, add(['known-to-nobody']));
  const full = `insert into welcome (conversation, user_id, seq, epoch, inviter, size)
    select key, $1, 0, 0, $2, 8 * 1024 * 1024 from conversation where id <> $3 limit $4`;
  await sql(full, 'hugo', 'alice', id, 1);
  await ask(id, add(['hugo'], { bytes: { ciphertext: 1, welcome: 2 } }));
  await sql(full, 'ida', 'erin', id, 6);
  await ask(id, add(['ida'], { bytes: { ciphertext: 1, welcome: 2 } }));
  await sql('select wake_evicted_welcomes(10)');
  await sql(`update member set proven_at = now() where user_id = 'ida'`);
  await sql(`update conversation set policy = policy || '{"whoMayAdd": "admin"}' where id = $1`, id);
  await ask(
    id,
    add(['bob'], { epoch: 1 }),
    add(['ida'], { epoch: 2, actor: 'bob', bytes: { ciphertext: 1, welcome: 2 } }),
  );
  // Many wait in one conversation.
  await sql(
    `insert into welcome (conversation, user_id, seq, epoch, inviter, size)
     select key, 'waits-' || n, 0, 0, 'alice', 1 from conversation, generate_series(1, 64) n where id = $1`,
    id,
  );
  await ask(id, { kind: 'leave', actor: 'ida' });
}

/** One whose invitation of very many users is being decided elsewhere. */
async function busyInviters(): Promise<void> {
  const { pool } = database();
  const [adding, resetting] = [await startConversation(pool), await startConversation(pool)];
  const elsewhere = await pool.connect();
  try {
    await elsewhere.query('begin');
    await elsewhere.query(
      `select lock_invitations('alice', (select array_agg('user-' || n) from generate_series(1, 20) n), true)`,
    );
    await ask(adding, commit(0, { adds: ['bob', 'stranger'] }));
    await ask(resetting, { kind: 'reset', successor: `${resetting}-busy` });
  } finally {
    await elsewhere.query('rollback');
    elsewhere.release();
  }
}

async function repair(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool);
  const report = { kind: 'report', seq: 0, epoch: 0, reason: 'stuck' };
  await ask(id, message('bob', { actor: 'bob' }), message('carol', { actor: 'carol' }));
  await sql('select stuck_members(c) from conversation c where id = $1', id);
  await ask(id, { ...report, seq: 9 }, { kind: 'reset', actor: 'bob', successor: `${id}-bob` });
  await ask(id, { ...report, actor: 'bob' }, { ...report, actor: 'bob' }, { ...report, actor: 'carol' }, report);
  await sql('select stuck_members(c) from conversation c where id = $1', id);
  const unknown = await startConversation(pool, { members: ['unknown'] });
  await sql(`insert into invitation select 'unknown', 'alice', 0 from generate_series(1, 500)`);
  await ask(unknown, { kind: 'reset', successor: `${id}-full` });
  await ask(id, { kind: 'reset', successor: id }, { kind: 'reset', actor: 'bob', successor: `${id}-next` });
  await ask(id, ...run('superseded'));
  await ask(`${id}-next`, message('pending'), { kind: 'leave', sha256: SHA256 });
}

/** Bars, further devices of members who never acted, and the epoch of an outsider. */
async function evidence(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool, {
    policy: { whoMayAdd: 'admin', externalJoin: 'anyone', voteAfterHours: 0 },
  });
  await ask(id, commit(0, { actor: 'bob', adds: ['carol'] }), commit(0, { actor: 'bob', adds: ['bob'] }));
  const bar = { kind: 'bar', user: 'dave', barred: true };
  await ask(id, bar, bar, { ...bar, barred: false }, bar, { kind: 'policy', policy: { whoMayAdd: 'member' } });
  await ask(id, commit(1, { actor: 'bob', adds: ['dave'] }), commit(1, { actor: 'bob', adds: ['erin'] }));
  await sql(
    `insert into bar (conversation, user_id, barred_by) select key, 'user-' || n, 'alice'
     from conversation, generate_series(1, 1000) n where id = $1`,
    id,
  );
  await ask(id, { ...bar, user: 'one too many' });

  const outsider = (user: string, epoch: number): object => commit(epoch, { actor: user, external: true });
  await ask(id, outsider('oscar', 2) as never, message('old', { actor: 'bob', epoch: 2 }));
  await ask(id, ...run('on trial'), outsider('peggy', 3) as never);
  await ask(id, message('follows', { actor: 'bob', epoch: 3 }), outsider('peggy', 3) as never);
  await acknowledge(pool, { user: 'bob', device: 'phone' }, new Map([[id, { seq: 5 }]]));
  await sql(
    `update device_position set seq = 1000 where conversation = (select key from conversation where id = $1)`,
    id,
  );
  await ask(id, outsider('trent', 4) as never, commit(5, { actor: 'bob' }), outsider('victor', 6) as never);
  await sql(`delete from device_position where conversation = (select key from conversation where id = $1)`, id);
  const { rows } = await pool.query<{ seq: number }>('select last_seq as seq from conversation where id = $1', [id]);
  const report = { kind: 'report', seq: rows[0]?.seq, epoch: 6, reason: 'stuck', actor: 'bob' };
  await ask(id, { kind: 'reset', actor: 'carol', successor: `${id}-carol` }, report);
  await ask(id, { kind: 'reset', actor: 'bob', successor: `${id}-undo` });
  // Everybody has left: who comes then is on no trial.
  const empty = await startConversation(pool, { members: [], policy: { externalJoin: 'anyone' } });
  await ask(empty, { kind: 'leave' }, outsider('bob', 0) as never);
}

async function retention(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque', policy: { retentionDays: 1 } });
  await retain(pool, 'nowhere', Date.now(), 5);
  await ask(id, ...run('kept'));
  await retain(pool, id, Date.now(), 5);
  await touchDevices(pool, [{ user: 'alice', device: 'phone' }]);
  await sql(
    `update entry e set at = e.at - interval '2 days' from conversation c where c.key = e.conversation and c.id = $1`,
    id,
  );
  await retain(pool, id, Date.now(), 5);
  await ask(id, { kind: 'commit', adds: ['dave'], epoch: 0, bytes: { welcome: 2 } });
  await retain(pool, id, Date.now() + 100 * DAY_MS, 5);
  const abandoned = await startConversation(pool, { members: [] });
  await ask(abandoned, { kind: 'leave' });
  await retain(pool, abandoned, Date.now() + 100 * DAY_MS, 5);
  const plain = await startConversation(pool, {});
  await retain(pool, plain, Date.now(), 5);
  await deleteByOperator(pool, plain, 'operator', {});
  await deleteByOperator(pool, plain, 'operator', {});
}

/** Deleted bodies, also as they are judged under the lock, and marks that move back. */
async function deletions(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque' });
  const hash = sha256('secret');
  const deleteHash = hash.toString('hex');
  await send(pool, id, [
    { kind: 'message', id: 'd1', actor: 'bob', body: 'one', deleteHash },
    { kind: 'message', id: 'd2', actor: 'bob', body: 'two' },
    { kind: 'commit', id: 'd3', actor: 'alice', body: 'three', epoch: 0, removes: ['carol'] },
    { kind: 'read', id: 'd4', actor: 'bob', seq: 0, back: true },
    { kind: 'read', id: 'd5', actor: 'bob' },
  ]);
  const judged: readonly (readonly [string, string, number, Buffer | null])[] = [
    ['nowhere', 'alice', 1, null],
    [id, 'carol', 1, null],
    [id, 'bob', 9, hash],
    [id, 'bob', 3, hash],
    [id, 'bob', 1, null],
    [id, 'bob', 2, hash],
    [id, 'bob', 1, hash],
    [id, 'bob', 1, hash],
    [id, 'alice', 2, null],
  ];
  for (const [conversation, user, seq, secret] of judged) {
    await sql('select delete_body($1, $2, $3, $4)', conversation, user, seq, secret);
  }
}

async function sweeps(): Promise<void> {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque' });
  await ask(id, { kind: 'commit', adds: ['dave'], epoch: 0, bytes: { welcome: 2 } }, commit(1));
  await touchDevices(pool, [{ user: 'bob', device: 'phone' }]);
  await sql('select database_lineage()');
  await sql(`select sweep_staged(key, now()) from conversation where id = $1`, id);
  for (const limit of [1, 1000]) {
    await sql(`select sweep_devices('', '', now(), $1)`, limit);
    await sql(`select sweep_races(0, '', now(), $1)`, limit);
    await sql(`select sweep_welcome_bodies(0, 0, $1)`, limit);
  }
}

/** Devices that are woken, held, locked, and looked at again. */
async function wakeUps(): Promise<void> {
  const { pool } = database();
  await registerDevice(pool, { user: 'bob', device: 'phone' });
  const id = await startConversation(pool);
  const message = (n: number, push?: 'none' | 'high'): Request => {
    const name = `wake-${n}`;
    return { kind: 'message', id: name, actor: 'alice', body: name, epoch: 0, push };
  };
  const round = async (): Promise<void> => {
    await later(pool, 6);
    await look(pool);
  };
  const lookWhileLocked = async (): Promise<void> => {
    await later(pool, 6);
    const holder = await pool.connect();
    try {
      await holder.query('begin; select from push_target for update');
      await look(pool);
    } finally {
      await holder.query('rollback');
      holder.release();
    }
  };
  await send(pool, id, [message(1, 'high'), message(2, 'none')]);
  await send(
    pool,
    id,
    Array.from({ length: 10 }, (_, n) => message(10 + n, 'none')),
  );
  await lookWhileLocked();
  const stream = { user: 'bob', device: 'phone', id: randomUUID() };
  await recordStreams(pool, [stream], []);
  await round();
  await lookWhileLocked();
  await recordStreams(pool, [], [stream]);
  for (let n = 0; n < 3; n++) {
    await round();
    await send(pool, id, [message(20 + n)]);
    // Looked at while it is woken.
    await round();
    await round();
    await acknowledgeWake(pool, { user: 'bob', device: 'phone' });
  }
  await round();
  await look(pool);
  await acknowledgeWake(pool, { user: 'bob', device: 'phone' });
  await acknowledge(pool, { user: 'bob', device: 'phone' }, new Map([[id, { seq: 15 }]]));
  await round();
  await settleCursors(pool);
  await endOldWakes(pool);
}

/** Conversations that somebody else has locked, and calls of processes of older releases. */
async function locks(): Promise<void> {
  const { pool, url } = database();
  const id = await startConversation(pool);
  await sql('select decide($1, $2)', id, '[]');
  await sql('select decide_waiting($1, $2, $3)', id, '[]', []);
  const release = await holdRows(url, [id]);
  try {
    await sql('select decide_many($1, $2, $3)', [id, 'nowhere'], '[[], []]', []);
    await sql('select decide_waiting($1, $2, $3)', id, '[]', []);
    await sql('select sweep_staged(key, now()) from conversation where id = $1', id);
    await expect(retain(pool, id, Date.now(), 1)).rejects.toMatchObject({ code: '55P03' });
  } finally {
    await release();
  }
}

async function offBoardings(): Promise<void> {
  const { pool } = database();
  const members = ['alice', 'gone', 'left', 'left too'];
  const policy = { removalDeadlineHours: 0 };
  const begin = (user: string, device = '', actor = 'operator'): Promise<number> =>
    beginOffBoarding(pool, { user, device, actor }, 'device-stolen');
  const page = (id: number): Promise<unknown> => nextTargets(pool, id, 10);
  const propose = (id: string, user: string, epoch: number, ...bytes: Buffer[]): Promise<unknown> =>
    proposeRemoval(
      pool,
      { conversation: id, user, device: '' },
      epoch,
      bytes.map((one, n) => ({ id: `${user} ${epoch} ${n}`, sha256: one, bytes: one })),
    );
  const id = await startConversation(pool, { members, policy });
  const alone = await startConversation(pool, { creator: 'gone', members: ['gone'], policy });
  await ask(id, { kind: 'leave', actor: 'left' }, { kind: 'leave', actor: 'left too', erase: true });

  await touchDevices(
    pool,
    ['phone', 'tablet'].map((device) => ({ user: 'gone', device })),
  );
  for (const device of ['tablet', 'tablet']) await removeOwnDevice(pool, { user: 'gone', device });
  const gone = await begin('gone');
  await begin('gone');
  await page(gone);
  await workOff(pool, { id: gone, endedAt: null, device: '' }, id);
  await workOff(pool, { id: gone, endedAt: null, device: '' }, id);
  await workOff(pool, { id: gone, endedAt: null, device: '' }, alone);
  await workOff(pool, { id: gone, endedAt: null, device: '' }, 'nowhere');
  const left = await begin('left');
  await workOff(pool, { id: left, endedAt: null, device: '' }, id);
  await begin('nobody');
  await propose(id, 'nobody', 0);
  await propose(id, 'gone', 7);
  await forgetChain(pool, id);
  await propose(id, 'gone', 0, Buffer.from('one'), Buffer.from('two'));
  await propose(id, 'left', 0);
  await forgetChain(pool, id);
  await ask(id, commit(0), commit(0, { external: true }), commit(1, { adds: ['gone'] }));
  await ask(
    id,
    commit(1, { removes: ['gone', 'left too'], leaves: ['alice', 'left'] }),
    commit(1, { removes: ['gone', 'left', 'left too'] }),
  );
  await workOff(pool, { id: gone, endedAt: null, device: '' }, id);
  // Told already: nothing new in the next epoch.
  const again = await startConversation(pool, { members: ['alice', 'late'], policy: { removalDeadlineHours: 24 } });
  const late = await begin('late');
  await workOff(pool, { id: late, endedAt: null, device: '' }, again);
  await propose(again, 'late', 0);
  await ask(again, commit(0));
  await propose(again, 'late', 1);
  // What is undone, what cannot be, and where nothing happens any more.
  const undone = { id: gone, endedAt: new Date(), device: '' };
  await endOffBoarding(pool, { user: 'gone', device: '', actor: 'operator' });
  await endOffBoarding(pool, { user: 'gone', device: '', actor: 'operator' });
  await page(gone);
  for (const conversation of [alone, alone, id]) await workOff(pool, undone, conversation);
  await workOff(pool, { id: left, endedAt: new Date(), device: '' }, id);
  await endOffBoarding(pool, { user: 'late', device: '', actor: 'operator' });
  await workOff(pool, { id: late, endedAt: new Date(), device: '' }, again);
  const later = await begin('late');
  await workOff(pool, { id: later, endedAt: null, device: '' }, again);
  await sql(`update conversation set successor = 'another' where id = $1`, again);
  await propose(again, 'late', 1);

  // Devices.
  const devices = await startConversation(pool, { members: ['alice', 'bob'], policy });
  await ask(devices, commit(0, { actor: 'bob', device: 'stolen', leaf: 'dd', leaves: ['alice', 'bob'] }));
  const stolen = await begin('bob', 'stolen', 'bob');
  await page(stolen);
  for (const conversation of [devices, devices, 'nowhere']) {
    await workOff(pool, { id: stolen, endedAt: null, device: 'stolen' }, conversation);
  }
  await ask(devices, commit(1), commit(1, { dropped: ['bob'], goneLeaves: ['dd'], leaves: ['alice'] }));
}

/** What the model's tests ask, some of it in batches and staged. */
async function randomRequests(): Promise<void> {
  const { pool } = database();
  const runs = fc.sample(fc.array(anyStep, { minLength: 60, maxLength: 60 }), { seed: 1, numRuns: 20 });
  for (const [n, steps] of runs.entries()) {
    const protocol = n % 2 === 0 ? 'mls' : 'opaque';
    const members = USERS.slice(0, 3);
    const conversation = await startConversation(pool, { protocol, members: [...members] });
    const policy = makePolicy({ groupInfo: 'optional' }, { epochWindow: 2 });
    const model = new Model({ protocol, creator: 'alice', members, policy });
    const toRequest = makeRequests();
    const requests: Request[] = steps.map((step) => {
      const request = toRequest(step, model);
      model.apply(request, Date.now());
      return request;
    });
    for (let i = 0; i < requests.length; i += 10) {
      const batch = requests.slice(i, i + 10);
      await (i % 20 === 0 ? send(pool, conversation, batch) : sendStaged(pool, conversation, batch));
    }
  }
}
