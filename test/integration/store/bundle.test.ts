import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import type { OperationJson, RequestJson } from '../../../store/decision/inline-operation.ts';
import type { PolicyChange } from '../../../domain/policy.ts';
import { decide } from '../../../store/decision/decide.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { sha256, startConversation } from '../../harness/requests.ts';

/** What the deciding transaction makes of the parts of a commit bundle: KeyPackageRefs, leaves, external commits. */
const database = useDatabase();

test('a Welcome reaches each device by its ref, and uses up the key packages (invariant 6)', async () => {
  const conversation = await start();
  const phone = await keyPackage('dave', 'phone');
  const laptop = await keyPackage('dave', 'laptop');
  const other = await keyPackage('erin', 'phone');
  await claim([phone, laptop, other], 'alice');
  const refs = [phone, laptop, other];
  expect(await commit(conversation, 'alice', 0, { adds: ['dave', 'erin'], refs })).toMatchObject({ seq: 1, epoch: 1 });
  const { rows } = await database().pool.query(
    `select user_id, device_id, encode(ref, 'hex') as ref, w.seq from welcome w
     join welcome_body b using (conversation, seq) join conversation c on c.key = conversation
     where c.id = $1 order by user_id, device_id`,
    [conversation],
  );
  expect(rows).toEqual([
    { user_id: 'dave', device_id: 'laptop', ref: laptop, seq: 1 },
    { user_id: 'dave', device_id: 'phone', ref: phone, seq: 1 },
    { user_id: 'erin', device_id: 'phone', ref: other, seq: 1 },
  ]);
  await checkInvariants(database().pool, conversation);
  // Used once: in no conversation again, not even after the user was removed.
  expect(await commit(conversation, 'alice', 1, { removes: ['erin'] })).toMatchObject({ status: 'accepted' });
  expect(await commit(conversation, 'alice', 2, { adds: ['erin'], refs: [other] })).toMatchObject(mismatch);
  expect(await commit(await start(), 'alice', 0, { adds: ['erin'], refs: [other] })).toMatchObject(mismatch);
});

const mismatch = { status: 'refused', code: 'welcome-mismatch' };

test.each<[string, (ref: string) => Promise<unknown>, object]>([
  ['was never handed out', () => Promise.resolve(), mismatch],
  ['was claimed by somebody who is no member', (ref) => claim([ref], 'mallory'), mismatch],
  ['was claimed for another conversation', (ref) => claim([ref], 'alice', 'another'), mismatch],
  [
    'was claimed more than a day ago',
    async (ref) => {
      await claim([ref], 'alice');
      await sql(`update claim set at = at - interval '25 h' where ref = decode($1, 'hex')`, ref);
    },
    { status: 'refused', code: 'key-package-stale' },
  ],
  [
    'has expired',
    async (ref) => {
      await claim([ref], 'alice');
      await sql(`update key_package set not_after = now() - interval '1 s' where ref = decode($1, 'hex')`, ref);
    },
    { status: 'refused', code: 'key-package-stale' },
  ],
  [
    'was replaced by its device',
    async (ref) => {
      await claim([ref], 'alice');
      await sql(`update key_package set replaced_at = now() where ref = decode($1, 'hex')`, ref);
    },
    { status: 'refused', code: 'key-package-stale' },
  ],
])('a Welcome for a key package that %s is refused, and nothing changes', async (_, prepare, refusal) => {
  const conversation = await start();
  const ref = await keyPackage('dave', 'phone');
  await prepare(ref);
  const outcome = await commit(conversation, 'alice', 0, { adds: ['dave'], refs: [ref] });
  expect(outcome).toMatchObject(refusal);
  if (outcome?.status === 'refused' && outcome.code === 'key-package-stale') {
    expect(outcome.refs).toEqual([Buffer.from(ref, 'hex').toString('base64')]);
  }
  const { rows } = await database().pool.query(
    `select epoch, last_seq as "lastSeq", member_count as members, (select count(*)::int from welcome w
       where w.conversation = c.key) as welcomes from conversation c where id = $1`,
    [conversation],
  );
  expect(rows).toEqual([{ epoch: 0, lastSeq: 0, members: 3, welcomes: 0 }]);
});

test('a Welcome is for exactly those who are added, and for each device once', async () => {
  const conversation = await start();
  const dave = await keyPackage('dave', 'phone');
  const again = await keyPackage('dave', 'phone');
  const erin = await keyPackage('erin', 'phone');
  await claim([dave, again, erin], 'alice');
  for (const [adds, refs] of [
    [['dave'], [dave, erin]],
    [['dave', 'erin'], [dave]],
    [['dave'], [dave, again]],
  ] as const) {
    expect(await commit(conversation, 'alice', 0, { adds, refs })).toMatchObject(mismatch);
  }
  // None of the refused commits has used anything up.
  expect(await commit(conversation, 'alice', 0, { adds: ['dave', 'erin'], refs: [dave, erin] })).toMatchObject({
    status: 'accepted',
  });
});

test('the loser of a race uses its key packages in the commit that it builds anew', async () => {
  const conversation = await start();
  const ref = await keyPackage('dave', 'phone');
  await claim([ref], 'bob', conversation);
  await commit(conversation, 'alice', 0);
  expect(await commit(conversation, 'bob', 0, { adds: ['dave'], refs: [ref] })).toMatchObject({
    code: 'epoch-conflict',
  });
  expect(await commit(conversation, 'bob', 1, { adds: ['dave'], refs: [ref] })).toMatchObject({ status: 'accepted' });
});

test('two commits of two conversations for one key package: one of them is accepted (invariant 6)', async () => {
  for (let round = 0; round < 10; round++) {
    const conversations = await Promise.all([start(), start()]);
    const ref = await keyPackage('dave', 'phone');
    await claim([ref], 'alice');
    const outcomes = await Promise.all(
      conversations.map((conversation) => commit(conversation, 'alice', 0, { adds: ['dave'], refs: [ref] })),
    );
    expect(outcomes.map((outcome) => outcome?.status).sort()).toEqual(['accepted', 'refused']);
  }
});

test('a last resort may be used in several conversations', async () => {
  const ref = await keyPackage('dave', 'phone', { lastResort: true });
  await claim([ref], 'alice');
  for (const conversation of [await start(), await start()]) {
    expect(await commit(conversation, 'alice', 0, { adds: ['dave'], refs: [ref] })).toMatchObject({
      status: 'accepted',
    });
  }
});

test('the leaves of the tree are the members after the commit', async () => {
  const conversation = await start();
  const all = ['alice', 'bob', 'carol'];
  const wrong = { status: 'refused', code: 'membership-mismatch' };
  expect(await commit(conversation, 'alice', 0, { leaves: ['alice', 'bob'] })).toMatchObject(wrong);
  expect(await commit(conversation, 'alice', 0, { leaves: [...all, 'mallory'] })).toMatchObject(wrong);
  expect(await commit(conversation, 'alice', 0, { leaves: all, adds: ['dave'] })).toMatchObject(wrong);
  expect(await commit(conversation, 'alice', 0, { leaves: all, removes: ['bob'] })).toMatchObject(wrong);
  expect(await commit(conversation, 'alice', 0, { leaves: all })).toMatchObject({ status: 'accepted' });
  expect(
    await commit(conversation, 'alice', 1, { leaves: ['alice', 'carol', 'dave'], adds: ['dave'], removes: ['bob'] }),
  ).toMatchObject({ status: 'accepted' });
});

test('who is leaving may still have leaves, and a tree without them completes the leaving', async () => {
  const conversation = await start();
  await decide(database().pool, conversation, [{ kind: 'leave', id: 'leave', actor: 'bob', size: 0 }]);
  expect(await commit(conversation, 'alice', 0, { leaves: ['alice', 'bob', 'carol'] })).toMatchObject({ epoch: 1 });
  expect(await leaving(conversation)).toEqual(['bob']);
  expect(await commit(conversation, 'alice', 1, { leaves: ['alice', 'carol'] })).toMatchObject({ epoch: 2 });
  expect(await leaving(conversation)).toEqual([]);
  expect(await commit(conversation, 'alice', 2, { leaves: ['alice', 'bob', 'carol'] })).toMatchObject({
    code: 'membership-mismatch',
  });
});

test.each<[PolicyChange['externalJoin'], string, object]>([
  ['nobody', 'bob', { code: 'not-allowed' }],
  ['nobody', 'mallory', { code: 'not-found' }],
  ['member', 'bob', { status: 'accepted' }],
  ['member', 'mallory', { code: 'not-found' }],
  ['member', 'left', { code: 'removed' }],
  ['member', 'removed', { code: 'not-found' }],
  ['anyone', 'mallory', { status: 'accepted' }],
  ['anyone', 'left', { status: 'accepted' }],
  ['anyone', 'removed', { code: 'not-found' }],
])('under externalJoin %s an external commit of %s gets %o', async (externalJoin, actor, expected) => {
  const conversation = await start({ externalJoin }, ['alice', 'bob', 'left', 'removed']);
  await decide(database().pool, conversation, [{ kind: 'leave', id: 'leave', actor: 'left', size: 0 }]);
  await commit(conversation, 'alice', 0, { removes: ['left'] });
  await commit(conversation, 'alice', 1, { removes: ['removed'] });
  expect(await commit(conversation, actor, 2, { external: true })).toMatchObject(expected);
  await checkInvariants(database().pool, conversation);
});

test('an external commit makes an outsider a member, who reads from it on', async () => {
  const conversation = await start({ externalJoin: 'anyone' });
  await commit(conversation, 'alice', 0);
  const leaves = ['alice', 'bob', 'carol', 'dave'];
  expect(await commit(conversation, 'dave', 1, { external: true, leaves })).toMatchObject({ seq: 2, epoch: 2 });
  const { rows } = await database().pool.query(
    `select role, joined_seq as "joinedSeq" from member m join conversation c on c.key = m.conversation
     where c.id = $1 and user_id = 'dave'`,
    [conversation],
  );
  expect(rows).toEqual([{ role: 'member', joinedSeq: 2 }]);
});

test('a policy that requires a GroupInfo has commits without one refused', async () => {
  const conversation = await start({ groupInfo: 'required' });
  expect(await commit(conversation, 'alice', 0)).toMatchObject({ status: 'refused', code: 'group-info-mismatch' });
});

test.each(['removed by another', 'leaving'])(
  'the last admin %s hands over to the longest-standing member',
  async (how) => {
    const conversation = await start({}, ['alice', 'carol']);
    await commit(conversation, 'alice', 0, { adds: ['bob'] });
    if (how === 'leaving') {
      await decide(database().pool, conversation, [{ kind: 'leave', id: 'leave', actor: 'alice', size: 0 }]);
    } else {
      await commit(conversation, 'bob', 1, { removes: ['alice'] });
    }
    const { rows } = await database().pool.query(
      `select user_id from member m join conversation c on c.key = m.conversation where c.id = $1 and role = 'admin'`,
      [conversation],
    );
    expect(rows).toEqual([{ user_id: 'carol' }]);
  },
);

test('a policy may keep the last admin from leaving and from being removed', async () => {
  const conversation = await start({ lastAdmin: 'refuse' });
  const { outcomes } = await decide(database().pool, conversation, [
    { kind: 'leave', id: 'leave', actor: 'alice', size: 0 },
  ]);
  expect(outcomes).toMatchObject([{ status: 'refused', code: 'not-allowed' }]);
  expect(await commit(conversation, 'bob', 0, { removes: ['alice'] })).toMatchObject({ code: 'not-allowed' });
  await decide(database().pool, conversation, [
    { kind: 'role', id: 'role', actor: 'alice', user: 'bob', role: 'admin' },
  ]);
  expect(await commit(conversation, 'bob', 0, { removes: ['alice'] })).toMatchObject({ status: 'accepted' });
});

function start(policy: PolicyChange = {}, members?: readonly string[]): Promise<string> {
  return startConversation(database().pool, { policy, ...(members === undefined ? {} : { members }) });
}

/** Stores a key package whose bytes nobody looks at. @returns its ref, as hex */
async function keyPackage(user: string, device: string, more: { readonly lastResort?: boolean } = {}): Promise<string> {
  const ref = randomBytes(32).toString('hex');
  await database().pool.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after)
     values (decode($1, 'hex'), $2, $3, 1, 'bytes', $4, now() + interval '1 day')`,
    [ref, user, more.lastResort === true ? `${device} ${ref}` : device, more.lastResort ?? false],
  );
  return ref;
}

async function claim(refs: readonly string[], claimer: string, conversation = ''): Promise<void> {
  await database().pool.query(
    `insert into claim (ref, user_id, conversation) select decode(r, 'hex'), $2, $3 from unnest($1::text[]) r`,
    [refs, claimer, conversation],
  );
  await database().pool.query(
    `update key_package set claimed_at = now() where ref in (select decode(r, 'hex') from unnest($1::text[]) r)`,
    [refs],
  );
}

async function sql(text: string, value: string): Promise<void> {
  await database().pool.query(text, [value]);
}

async function leaving(conversation: string): Promise<string[]> {
  const { rows } = await database().pool.query<{ user: string }>(
    `select user_id as user from member m join conversation c on c.key = m.conversation where c.id = $1 and leaving`,
    [conversation],
  );
  return rows.map(({ user }) => user);
}

async function commit(
  conversation: string,
  actor: string,
  epoch: number,
  request: RequestJson = {},
): Promise<Outcome | undefined> {
  const bytes = randomBytes(8).toString('hex');
  const operation: OperationJson = {
    kind: 'commit',
    id: bytes,
    actor,
    epoch,
    sha256: sha256(bytes).toString('hex'),
    size: bytes.length,
    bytes: { ciphertext: 1, ...(request.refs === undefined ? {} : { welcome: 2 }) },
    ...request,
  };
  const { outcomes } = await decide(
    database().pool,
    conversation,
    [operation],
    [Buffer.from(bytes), Buffer.from('welcome')],
  );
  return outcomes[0];
}
