import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { decide } from '../../../store/decision/decide.ts';
import { overviewConversation } from '../../../store/conversation/overview.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { useDatabase } from '../../harness/database.ts';
import { type Protocol, sha256, startConversation } from '../../harness/requests.ts';

/** The vote of a reset (store/repair/vote.sql): nobody gets votes by inventing members, and an honest majority has its way. */
const database = useDatabase();

let count = 0;

/** Has operations decided, each by its actor. */
async function ask(conversation: string, ...operations: Record<string, unknown>[]): Promise<readonly Outcome[]> {
  const named = operations.map((operation) => ({ id: `op-${count++}`, size: 1, ...operation }));
  return (await decide(database().pool, conversation, named as never, [Buffer.from('bytes')])).outcomes;
}

async function accepted(conversation: string, ...operations: Record<string, unknown>[]): Promise<void> {
  const outcomes = await ask(conversation, ...operations);
  expect(outcomes.filter(({ status }) => status !== 'accepted')).toEqual([]);
}

function message(actor: string, epoch = 0): Record<string, unknown> {
  return { kind: 'message', actor, sha256: sha256(`${count++}`).toString('hex'), epoch, bytes: { ciphertext: 1 } };
}

function commit(actor: string, epoch: number, more: object = {}): Record<string, unknown> {
  const bytes = { sha256: sha256(`commit ${count++}`).toString('hex'), bytes: { ciphertext: 1 } };
  return { kind: 'commit', actor, epoch, deferred: true, ...bytes, ...more };
}

function report(actor: string, more: object = {}): Record<string, unknown> {
  return { kind: 'report', actor, seq: 0, epoch: 0, reason: 'stuck', ...more };
}

function reset(actor: string): Record<string, unknown> {
  return { kind: 'reset', actor, successor: `successor-${String(count++).padStart(6, '0')}` };
}

interface Setting {
  readonly protocol: Protocol;
  readonly size: number;
  readonly age: 'young' | 'old';
}

const SETTINGS: Setting[] = (['mls', 'opaque'] as const).flatMap((protocol) =>
  [5, 50].flatMap((size) => (['young', 'old'] as const).map((age) => ({ protocol, size, age }))),
);

/** Alice the admin, mallory, and so many others; all of them have acted. */
async function group({ protocol, size, age }: Setting, names = others(size)): Promise<string> {
  const id = await startConversation(database().pool, { protocol, members: ['alice', 'mallory', ...names] });
  for (const user of ['mallory', ...names]) await accepted(id, message(user));
  if (age === 'old') await moveBack(id, 30);
  return id;
}

function others(size: number): string[] {
  return Array.from({ length: size - 2 }, (_, i) => `member-${i}`);
}

/** Lets days pass: what is there became as much older. */
async function moveBack(id: string, days: number): Promise<void> {
  const { pool } = database();
  const interval = `make_interval(days => ${days})`;
  await pool.query(
    `update conversation set created_at = created_at - ${interval}, vote_at = vote_at - ${interval} where id = $1`,
    [id],
  );
  await pool.query(
    `update member set proven_at = proven_at - ${interval} from conversation c where c.key = conversation and c.id = $1`,
    [id],
  );
  await pool.query(
    `update report set at = at - ${interval} from conversation c where c.key = conversation and c.id = $1`,
    [id],
  );
}

async function epochOf(id: string): Promise<number> {
  return (await decide(database().pool, id, [])).facts.epoch;
}

const INVENTED = Array.from({ length: 60 }, (_, i) => `invented-${i}`);

test.each(SETTINGS)(
  'a member that invents members who never act has no more votes than before: $protocol, $size members, $age',
  async (setting) => {
    const id = await group(setting);
    const invented = INVENTED.slice(0, setting.size + 1);
    await accepted(id, commit('mallory', 0, { adds: invented }));
    const reports = await ask(id, report('mallory'), ...invented.map((user) => report(user, { seq: 1e3 })));
    expect(reports[0]).toMatchObject({ reports: 1, needed: Math.floor(setting.size / 2) + 1, open: false });
    const seq = setting.size;
    const [last] = (await ask(id, ...invented.map((user) => report(user, { seq })))).slice(-1);
    expect(last).toMatchObject({ status: 'accepted', reports: 1, open: false });
    for (const user of ['mallory', 'invented-0']) {
      expect(await ask(id, reset(user))).toMatchObject([{ status: 'refused', code: 'not-allowed' }]);
    }
    await checkInvariants(database().pool, id);
  },
);

test.each(SETTINGS)(
  'nor when they act under tokens of their own, and bring in one another: $protocol, $size members, $age',
  async (setting) => {
    const id = await group(setting);
    const needed = Math.floor(setting.size / 2) + 1;
    const invented = INVENTED.slice(0, setting.size + 1);
    let epoch = 0;
    let bringer = 'mallory';
    for (let from = 0; from < invented.length; from += 3) {
      const adds = invented.slice(from, from + 3);
      await accepted(id, commit(bringer, epoch++, { adds }), ...adds.map((user) => message(user, epoch)));
      bringer = adds[0] ?? bringer;
    }
    const { lastSeq } = (await decide(database().pool, id, [])).facts;
    const outcomes = await ask(id, ...[...invented, 'mallory'].map((user) => report(user, { seq: lastSeq })));
    expect(outcomes.at(-1)).toMatchObject({ status: 'accepted', reports: 1, needed, open: false });
    expect(await ask(id, reset('mallory'), reset(invented[0] ?? ''))).toMatchObject(
      Array(2).fill({ status: 'refused', code: 'not-allowed' }),
    );
    // The others still have their way, without mallory and against its silence.
    const honest = others(setting.size).slice(0, needed - 1);
    const votes = await ask(id, ...honest.map((user) => report(user)));
    expect(votes.at(-1)).toMatchObject({ reports: needed, open: true });
    expect(await ask(id, reset(honest[0] ?? ''))).toMatchObject([{ status: 'accepted' }]);
    await checkInvariants(database().pool, id);
  },
);

test.each(SETTINGS)(
  'an honest majority opens a reset, and a half of the members does not: $protocol, $size members, $age',
  async (setting) => {
    const id = await group(setting);
    const needed = Math.floor(setting.size / 2) + 1;
    const voters = ['mallory', ...others(setting.size)].slice(0, needed);
    const outcomes = await ask(id, ...voters.slice(0, -1).map((user) => report(user)));
    expect(outcomes.at(-1)).toMatchObject({ reports: needed - 1, needed, open: false });
    expect(await ask(id, reset(voters[0] ?? ''))).toMatchObject([{ code: 'not-allowed' }]);
    expect(await ask(id, report(voters.at(-1) ?? ''))).toMatchObject([{ reports: needed, open: true }]);
    expect(await overviewConversation(database().pool, id)).toMatchObject({ state: 'reset-open' });
    expect(await ask(id, reset(voters[0] ?? ''))).toMatchObject([{ status: 'accepted' }]);
  },
);

test('a young group that its admin built by adding members repairs itself against the admin', async () => {
  const id = await startConversation(database().pool, { members: [] });
  const names = ['bob', 'carol', 'dave', 'erin'];
  for (const [epoch, user] of names.entries()) {
    await accepted(id, commit('alice', epoch, { adds: [user] }), message(user, epoch + 1));
  }
  const outcomes = await ask(id, ...['bob', 'carol', 'dave'].map((user) => report(user, { seq: 8 })));
  expect(outcomes).toMatchObject([
    { reports: 1, needed: 3, open: false },
    { reports: 2, needed: 3, open: false },
    { reports: 3, needed: 3, open: true },
  ]);
  expect(await ask(id, reset('bob'))).toMatchObject([{ status: 'accepted' }]);
});

test('in an old group those who came today have no vote, and after a day each has one', async () => {
  const id = await group({ protocol: 'mls', size: 5, age: 'old' });
  const fresh = ['frank', 'grace', 'heidi'];
  await accepted(id, commit('alice', 0, { adds: fresh }), ...fresh.map((user) => message(user, 1)));
  const seq = 8;
  expect((await ask(id, ...fresh.map((user) => report(user, { seq })))).at(-1)).toMatchObject({
    reports: 0,
    needed: 3,
  });
  // The vote has its electorate until it ends.
  await moveBack(id, 2);
  expect(await ask(id, report('frank', { seq }))).toMatchObject([{ reports: 0, needed: 3 }]);
  await moveBack(id, 8);
  expect(await ask(id, report('frank', { seq }))).toMatchObject([{ reports: 1, needed: 5 }]);
});

test('outsiders who came by themselves have one vote together in a young open group', async () => {
  const id = await startConversation(database().pool, {
    members: ['alice', 'bob'],
    policy: { externalJoin: 'anyone' },
  });
  await accepted(id, message('bob'));
  for (let epoch = 0; epoch < 6; epoch++) {
    const user = `outsider-${epoch}`;
    await accepted(id, commit(user, epoch, { external: true }), message('bob', epoch + 1));
  }
  const seq = 13;
  const outcomes = await ask(id, ...[0, 1, 2, 3, 4, 5].map((n) => report(`outsider-${n}`, { seq })));
  expect(outcomes.at(-1)).toMatchObject({ reports: 1, needed: 2, open: false });
});

test('who leaves, and comes back, does not multiply its votes', async () => {
  const id = await group({ protocol: 'mls', size: 5, age: 'young' });
  const first = INVENTED.slice(0, 3);
  const second = INVENTED.slice(3, 6);
  await accepted(id, commit('mallory', 0, { adds: first }), ...first.map((user) => message(user, 1)));
  await accepted(id, { kind: 'leave', actor: 'mallory' });
  await accepted(
    id,
    commit(first[0] ?? '', 1, { removes: ['mallory'] }),
    commit(first[0] ?? '', 2, { adds: ['mallory'] }),
  );
  await accepted(id, message('mallory', 3), commit('mallory', 3, { adds: second }));
  await accepted(id, ...second.map((user) => message(user, 4)));
  const { lastSeq: seq } = (await decide(database().pool, id, [])).facts;
  const outcomes = await ask(id, ...[...first, ...second, 'mallory'].map((user) => report(user, { seq })));
  expect(outcomes.at(-1)).toMatchObject({ reports: 1, needed: 3, open: false });
});

test('a reset makes nobody a member since the creation: who was invented in the old group counts as one in the new', async () => {
  const id = await group({ protocol: 'opaque', size: 5, age: 'young' });
  const invented = INVENTED.slice(0, 6);
  await accepted(id, commit('mallory', 0, { adds: invented }), ...invented.map((user) => message(user, 1)));
  const successor = `successor-${String(count++).padStart(6, '0')}`;
  await accepted(id, { kind: 'reset', actor: 'alice', successor });
  const outcomes = await ask(successor, ...[...invented, 'mallory'].map((user) => report(user)));
  expect(outcomes.at(-1)).toMatchObject({ reports: 1, needed: 3, open: false });
});

test('one who was the only one to speak does not decide alone', async () => {
  const id = await startConversation(database().pool, { members: ['alice', 'bob', 'mallory'] });
  await accepted(id, message('mallory'), { kind: 'leave', actor: 'alice' });
  expect(await ask(id, report('mallory'), reset('mallory'))).toMatchObject([
    { reports: 1, needed: 2, open: false },
    { code: 'not-allowed' },
  ]);
});

test('the electorate is that of the first report: who acts later has no vote in it, and who leaves loses it', async () => {
  const id = await startConversation(database().pool, { members: ['alice', 'bob', 'carol', 'dave'] });
  await accepted(id, message('bob'), message('carol'));
  expect(await ask(id, report('bob'))).toMatchObject([{ reports: 1, needed: 2 }]);
  await accepted(id, message('dave'));
  expect(await ask(id, report('dave'))).toMatchObject([{ reports: 1, needed: 2, open: false }]);
  await accepted(id, { kind: 'leave', actor: 'bob' });
  expect(await ask(id, report('carol'))).toMatchObject([{ reports: 1, needed: 2, open: false }]);
});

test('a report of the beginning does not keep those from voting who act before the entry that is reported later', async () => {
  const id = await startConversation(database().pool, { members: ['alice', 'bob', 'carol', 'mallory'] });
  await accepted(id, message('mallory'), report('mallory'), message('bob'), message('carol'));
  expect(await ask(id, report('bob'))).toMatchObject([{ reports: 1, needed: 2 }]);
  await accepted(id, commit('mallory', 0));
  expect(
    await ask(id, report('bob', { seq: 4 }), report('carol', { seq: 4 }), report('alice', { seq: 4 })),
  ).toMatchObject([
    { reports: 1, needed: 3, open: false },
    { reports: 2, needed: 3, open: false },
    { reports: 3, needed: 3, open: true },
  ]);
});

test('what somebody reported before it left is no vote when it has come back', async () => {
  const id = await startConversation(database().pool, {
    members: ['alice', 'bob', 'carol'],
    policy: { voteAfterHours: 0 },
  });
  await accepted(id, message('bob'), message('carol'), report('bob'));
  await accepted(
    id,
    commit('alice', 0, { removes: ['bob'] }),
    commit('alice', 1, { adds: ['bob'] }),
    message('bob', 2),
  );
  expect(await ask(id, report('carol', { seq: 5 }))).toMatchObject([{ reports: 1, needed: 2 }]);
});

test('a vote ends with its last report, and the next one has a new electorate', async () => {
  const id = await startConversation(database().pool, { members: ['alice', 'bob', 'carol', 'dave'] });
  await accepted(id, message('bob'));
  expect(await ask(id, report('bob'))).toMatchObject([{ reports: 1, needed: 2 }]);
  await accepted(id, message('carol'), message('dave'));
  await accepted(id, commit('bob', 0));
  expect(await ask(id, report('carol'))).toMatchObject([{ reports: 1, needed: 3 }]);
});

test('a report that is made again and again does not keep an old electorate', async () => {
  const id = await group({ protocol: 'mls', size: 5, age: 'old' });
  await accepted(id, report('mallory'));
  for (const user of ['frank', 'grace']) {
    await accepted(id, commit('alice', await epochOf(id), { adds: [user] }), message(user, await epochOf(id)));
  }
  const renew = async (): Promise<Outcome> => {
    await moveBack(id, 5);
    return (await ask(id, report('mallory')))[0] ?? expect.unreachable();
  };
  expect(await renew()).toMatchObject({ reports: 1, needed: 3 });
  expect(await renew()).toMatchObject({ reports: 1, needed: 4 });
});

test('with voteAfterHours 0 everybody who is proven has a vote at once', async () => {
  const id = await startConversation(database().pool, { members: [], policy: { voteAfterHours: 0 } });
  await accepted(id, commit('alice', 0, { adds: ['bob', 'carol'] }), message('bob', 1));
  expect(await ask(id, report('bob', { seq: 2 }), report('carol', { seq: 2 }))).toMatchObject([
    { reports: 1, needed: 2 },
    { reports: 1, needed: 2 },
  ]);
});

test('reports at the same moment open one reset, once, and of many resets one is done', async () => {
  const id = await group({ protocol: 'opaque', size: 50, age: 'young' });
  const { pool } = database();
  const voters = ['mallory', ...others(50)].slice(0, 30);
  const outcomes = await Promise.all(voters.map((user) => ask(id, report(user))));
  const answers = outcomes.flat() as { reports: number; needed: number; open: boolean }[];
  expect(answers.map(({ reports }) => reports).sort((a, b) => a - b)).toEqual(voters.map((_, i) => i + 1));
  expect(answers.every(({ reports, needed, open }) => needed === 26 && open === reports >= 26)).toBe(true);
  const { rowCount } = await pool.query(
    `select from change x join conversation c on c.key = x.conversation where c.id = $1 and x.kind = 'reset-open'`,
    [id],
  );
  expect(rowCount).toBe(1);
  const resets = (await Promise.all(voters.map((user) => ask(id, reset(user))))).flat();
  expect(resets.filter(({ status }) => status === 'accepted')).toHaveLength(1);
  await checkInvariants(pool, id);
});

test('a decision that is lost before its commit leaves nothing, and the same report again counts once', async () => {
  const id = await group({ protocol: 'mls', size: 5, age: 'young' });
  const { pool } = database();
  const sent = [{ ...report('mallory'), id: 'the report', size: 1 }];
  const client = await pool.connect();
  await client.query('begin');
  await client.query('select decide($1, $2)', [id, JSON.stringify(sent)]);
  await client.query('rollback');
  client.release();
  const again = async (): Promise<readonly Outcome[]> => (await decide(pool, id, sent as never)).outcomes;
  expect(await again()).toMatchObject([{ status: 'accepted', reports: 1, needed: 3 }]);
  expect(await again()).toMatchObject([{ status: 'duplicate', reports: 1, needed: 3 }]);
});

test('a user that reports thousands of times leaves a bounded number of rows', async () => {
  const id = await startConversation(database().pool, { members: ['alice', 'bob'] });
  const { pool } = database();
  const audits = async (): Promise<number | null> =>
    (await pool.query(`select from audit where conversation = $1 and actor = 'bob'`, [id])).rowCount;
  await ask(id, ...Array.from({ length: 50 }, () => report('bob')));
  expect(await audits()).toBe(1);
  for (let i = 0; i < 20; i++) {
    await ask(id, ...Array.from({ length: 50 }, (_, n) => report('bob', { reason: `reason ${i} ${n}` })));
  }
  expect(await audits()).toBe(20);
  expect(
    (await pool.query(`select from report r join conversation c on c.key = r.conversation where c.id = $1`, [id]))
      .rowCount,
  ).toBe(1);
});

test('in a successor the role of the last admin goes to nobody whom a plain member invented', async () => {
  const id = await group({ protocol: 'opaque', size: 5, age: 'young' });
  await accepted(id, commit('mallory', 0, { adds: ['a-friend'] }), message('a-friend', 1));
  const successor = `successor-${String(count++).padStart(6, '0')}`;
  await accepted(id, { kind: 'reset', actor: 'alice', successor });
  await accepted(successor, { kind: 'leave', actor: 'alice' });
  const { rows } = await database().pool.query<{ user: string }>(
    `select m.user_id as user from member m join conversation c on c.key = m.conversation
     where c.id = $1 and m.role = 'admin' and m.left_seq is null`,
    [successor],
  );
  expect(rows).toEqual([{ user: 'mallory' }]);
});
