import { expect, test } from 'vitest';
import type { MessageCommand } from '../../../domain/command.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { decide, decideCommands } from '../../../store/decision/decide.ts';
import { readEarlierAnswer } from '../../../store/decision/earlier-answer.ts';
import { useDatabase } from '../../harness/database.ts';
import { sha256, startConversation } from '../../harness/requests.ts';

/**
 * The order of checks (docs/explanation/order-of-checks.md): for every kind of operation and every pair of checks that would
 * both refuse it, the answer is that of the earlier check. Obstacles are put in place by SQL, so that they combine freely.
 */
const database = useDatabase();

/** What stands in the way of an operation, in the order of checks. */
const OBSTACLES = [
  'never a member',
  'lost position',
  'earlier answer',
  'other use of the id',
  'message bytes missing',
  'removed',
  'deadline',
  'successor',
  'pending join',
  'policy',
  'epoch ahead',
  'epoch behind',
] as const;
type Obstacle = (typeof OBSTACLES)[number];

/** Pairs that cannot be true of one operation. */
const EXCLUSIVE: readonly (readonly Obstacle[])[] = [
  ['never a member', 'earlier answer', 'removed'],
  ['never a member', 'pending join'],
  ['earlier answer', 'other use of the id'],
  ['epoch ahead', 'epoch behind'],
];

type Answer = NonNullable<Extract<Outcome, { status: 'refused' }>['code']> | 'accepted' | 'duplicate';

interface Kind {
  /** By alice, an admin, for epoch 5; its bytes are the first of the call. */
  readonly operation: Record<string, unknown>;
  readonly protocol?: 'opaque';
  /** Changes the policy or the role of alice, so that the operation is not allowed. */
  readonly forbid?: string;
  /** An obstacle that is always there. */
  readonly always?: Obstacle;
  /** What each obstacle alone is answered with; `accepted` = an exception from the order. */
  readonly answers: Readonly<Partial<Record<Obstacle, Answer | undefined>>>;
}

const COMMON = {
  'never a member': 'not-found',
  'lost position': 'log-restarted',
  'earlier answer': 'duplicate',
  'other use of the id': 'id-reused',
  removed: 'removed',
  deadline: 'deadline',
} as const;
const ENTRY = {
  ...COMMON,
  successor: 'superseded',
  'pending join': 'not-allowed',
  'epoch ahead': 'epoch-ahead',
} as const;
const NO_ENTRY = {
  ...COMMON,
  successor: 'superseded',
  'pending join': 'not-allowed',
  'epoch behind': 'accepted',
} as const;

const bytes = { sha256: sha256('bytes').toString('hex'), size: 5, epoch: 5, bytes: { ciphertext: 1 } };
const policy = (change: object): string => `policy = policy || '${JSON.stringify(change)}'`;
const NO_ADMIN = 'no admin';

const KINDS: Record<string, Kind> = {
  message: {
    operation: { kind: 'message', ...bytes },
    answers: { ...ENTRY, 'message bytes missing': 'body-missing', 'epoch behind': 'epoch-too-old' },
  },
  proposal: {
    operation: { kind: 'message', type: 'proposal', ...bytes },
    forbid: policy({ whoMayPropose: 'nobody' }),
    answers: {
      ...ENTRY,
      'message bytes missing': 'body-missing',
      policy: 'not-allowed',
      'epoch behind': 'proposal-stale',
    },
  },
  commit: {
    operation: { kind: 'commit', adds: ['dave'], deferred: true, ...bytes },
    forbid: policy({ whoMayAdd: 'nobody' }),
    answers: { ...ENTRY, policy: 'not-allowed', 'epoch behind': 'epoch-conflict' },
  },
  'external commit': {
    operation: { kind: 'commit', external: true, deferred: true, ...bytes },
    answers: {
      ...ENTRY,
      // Who was removed by others, or never was here, must not learn that there is such a conversation.
      removed: 'not-found',
      'pending join': 'accepted',
      'epoch behind': 'epoch-conflict',
    },
  },
  'add without a commit (opaque)': {
    operation: { kind: 'commit', adds: ['dave'], size: 0, epoch: 5 },
    protocol: 'opaque',
    forbid: policy({ whoMayAdd: 'nobody' }),
    answers: { ...ENTRY, policy: 'not-allowed', 'epoch behind': 'epoch-conflict' },
  },
  'remove without a commit (opaque)': {
    operation: { kind: 'commit', removes: ['bob'], size: 0, epoch: 5 },
    protocol: 'opaque',
    forbid: policy({ whoMayRemove: 'nobody' }),
    answers: { ...ENTRY, policy: 'not-allowed', 'epoch behind': 'epoch-conflict' },
  },
  'add without a commit (mls)': {
    operation: { kind: 'commit', adds: ['dave'], size: 0, epoch: 5 },
    always: 'policy',
    answers: { ...ENTRY, 'earlier answer': undefined, policy: 'commit-required', 'epoch behind': 'epoch-conflict' },
  },
  'leave with a proposal': {
    operation: { kind: 'leave', ...bytes },
    forbid: policy({ lastAdmin: 'refuse' }),
    answers: { ...ENTRY, policy: 'not-allowed', 'epoch behind': 'proposal-stale' },
  },
  'leave without a proposal': {
    operation: { kind: 'leave', size: 0 },
    forbid: policy({ lastAdmin: 'refuse' }),
    answers: { ...NO_ENTRY, successor: 'accepted', 'pending join': 'accepted', policy: 'not-allowed' },
  },
  'group-info': {
    operation: { kind: 'group-info', size: 0, epoch: 5, bytes: { groupInfo: 1 } },
    answers: {
      ...ENTRY,
      'earlier answer': undefined,
      'other use of the id': 'accepted',
      'epoch behind': 'group-info-stale',
    },
  },
  read: {
    operation: { kind: 'read', seq: 0 },
    answers: { ...NO_ENTRY, successor: 'accepted', 'pending join': 'accepted' },
  },
  increment: { operation: { kind: 'increment', by: 1 }, answers: NO_ENTRY },
  role: {
    operation: { kind: 'role', user: 'bob', role: 'admin' },
    forbid: NO_ADMIN,
    answers: { ...NO_ENTRY, policy: 'not-allowed' },
  },
  policy: {
    operation: { kind: 'policy', policy: { epochWindow: 1 } },
    forbid: NO_ADMIN,
    answers: { ...NO_ENTRY, policy: 'not-allowed' },
  },
  bar: {
    operation: { kind: 'bar', user: 'mallory', barred: true },
    forbid: NO_ADMIN,
    answers: { ...NO_ENTRY, policy: 'not-allowed' },
  },
  report: {
    operation: { kind: 'report', size: 0, seq: 0, epoch: 5, reason: 'stuck' },
    answers: { ...NO_ENTRY, 'pending join': 'accepted' },
  },
  reset: {
    operation: { kind: 'reset' },
    forbid: NO_ADMIN,
    answers: { ...NO_ENTRY, policy: 'not-allowed' },
  },
  delete: {
    operation: { kind: 'delete' },
    forbid: NO_ADMIN,
    // After a deletion there is no log to compare with.
    answers: { ...NO_ENTRY, 'lost position': undefined, successor: 'accepted', policy: 'not-allowed' },
  },
};

/** As many as the set-based branch needs. */
const RUN = 9;

test.each(Object.keys(KINDS))('%s: of two checks that would refuse it, the earlier one answers', async (name) => {
  const kind = KINDS[name] ?? expect.unreachable();
  const wrong: string[] = [];
  for (const obstacles of [[], ...OBSTACLES.map((one) => [one]), ...pairs()]) {
    if (!obstacles.every((one) => kind.answers[one] !== undefined) || isExclusive(obstacles)) continue;
    const expected = expectedAnswer(
      kind,
      OBSTACLES.filter((one) => obstacles.includes(one) || one === kind.always),
    );
    for (const count of name === 'message' ? [1, RUN] : [1]) {
      for (const answer of await ask(kind, obstacles, count)) {
        if (answer !== expected) wrong.push(`${obstacles.join(' + ')} (${count}): ${answer} instead of ${expected}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test.each(Object.keys(KINDS).filter((name) => !['message', 'proposal'].includes(name)))(
  '%s: without its bytes nothing else is looked at',
  async (name) => {
    const kind = KINDS[name] ?? expect.unreachable();
    const gone = { ...kind, operation: { ...kind.operation, body: 1 } };
    for (const obstacle of OBSTACLES) {
      if (kind.answers[obstacle] === undefined || obstacle === 'earlier answer') continue;
      expect([obstacle, ...(await ask(gone, [obstacle], 1, false))]).toEqual([obstacle, 'body-missing']);
    }
  },
);

test('a GroupInfo is answered from the epoch, not from its id: the first one of an epoch stays', async () => {
  const { pool } = database();
  const conversation = await start(KINDS['group-info'] ?? expect.unreachable());
  const supply = (id: string): Promise<string> =>
    send(conversation, [{ kind: 'group-info', size: 0, epoch: 5, bytes: { groupInfo: 1 }, id, actor: 'alice' }], true);
  expect(await supply('a')).toBe('accepted');
  expect(await supply('b')).toBe('duplicate');
  await pool.query('update conversation set epoch = 6 where id = $1', [conversation]);
  expect(await supply('a')).toBe('group-info-stale');
});

test('a reset that is asked for again names the successor, and only after its deadline', async () => {
  const { pool } = database();
  const conversation = await start(KINDS.reset ?? expect.unreachable());
  await pool.query(`update conversation set successor = 'next' where id = $1`, [conversation]);
  const reset = { kind: 'reset', id: 'again', actor: 'alice', successor: 'next' };
  expect(await send(conversation, [reset], false)).toBe('duplicate');
  expect(await send(conversation, [{ ...reset, notAfter: 1 }], false)).toBe('deadline');
});

test('commit contention is judged after the epoch, and a lost commit counts only when it was refused for its epoch', async () => {
  const { pool } = database();
  const kind = KINDS.commit ?? expect.unreachable();
  const contend = `insert into race (conversation, user_id, losses, lost_at, won, reserved_until)
    select key, u, 3, clock_timestamp(), case when u = 'alice' then array_fill(clock_timestamp(), array[5]) else '{}' end,
      case when u = 'bob' then clock_timestamp() + interval '1 minute' end
    from conversation, unnest(array['alice', 'bob']) u where id = $1`;
  const losses = async (id: string): Promise<unknown> => {
    const { rows } = await pool.query<{ losses: number }>(
      `select losses from race r join conversation c on c.key = r.conversation where id = $1 and user_id = 'alice'`,
      [id],
    );
    return rows[0]?.losses;
  };
  for (const [obstacle, answer, lost] of [
    [undefined, 'rate-limited', 3],
    ['policy', 'not-allowed', 3],
    ['deadline', 'deadline', 3],
    ['epoch ahead', 'epoch-ahead', 3],
    ['epoch behind', 'epoch-conflict', 4],
  ] as const) {
    const id = await start(kind);
    await pool.query(contend, [id]);
    const operation = await put(id, kind, obstacle === undefined ? [] : [obstacle], 'new');
    expect([obstacle, await send(id, [operation], true), await losses(id)]).toEqual([obstacle, answer, lost]);
  }
  // Content comes after contention, and the reservation after the backoff.
  const id = await start(kind);
  await pool.query(contend, [id]);
  await pool.query(`update race set won = '{}' where user_id = 'alice'`);
  const unknown = { ...kind.operation, deferred: undefined, removes: ['mallory'], id: 'x', actor: 'alice' };
  expect(await send(id, [unknown], true)).toBe('deferred');
  expect(await send(id, [{ ...unknown, deferred: true }], true)).toBe('membership-mismatch');
});

test('an earlier answer is found beside a held lock and in a read-only transaction, and nobody else gets it', async () => {
  const { pool } = database();
  const kind = KINDS.message ?? expect.unreachable();
  const conversation = await start(kind);
  const command: MessageCommand = {
    kind: 'message',
    id: 'm',
    actor: 'alice',
    sha256: bytes.sha256,
    epoch: 5,
    bytes: { ciphertext: Buffer.from('bytes') },
  };
  expect(await readEarlierAnswer(pool, conversation, command)).toEqual({ epoch: 5 });
  await decideCommands(pool, conversation, [command]);
  const holder = await pool.connect();
  const reader = await pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for update', [conversation]);
    await reader.query('begin read only');
    const { rows } = await reader.query('select earlier_answer($1, $2) as answer', [
      conversation,
      JSON.stringify({ kind: 'message', id: 'm', actor: 'alice', sha256: bytes.sha256 }),
    ]);
    expect(rows).toMatchObject([{ answer: { epoch: 5, outcome: { status: 'duplicate', seq: 1, epoch: 5 } } }]);
  } finally {
    await holder.query('rollback').finally(() => holder.release());
    await reader.query('rollback').finally(() => reader.release());
  }
  const notFound = { status: 'refused', code: 'not-found' };
  expect((await readEarlierAnswer(pool, conversation, { ...command, actor: 'mallory' })).outcome).toEqual(notFound);
  expect(await readEarlierAnswer(pool, 'nowhere', command)).toEqual({ epoch: 0, outcome: notFound });
});

/** Puts the obstacles in place and sends the operation. @returns how it was answered, once for each of `count` */
async function ask(
  kind: Kind,
  obstacles: readonly Obstacle[],
  count: number,
  lookUp = true,
): Promise<(string | undefined)[]> {
  const { pool } = database();
  const conversation = await start(kind);
  const operations = [];
  for (let i = 0; i < count; i++) operations.push(await put(conversation, kind, obstacles, `id-${i}`, i === count - 1));
  if (lookUp && count === 1) await checkLookUp(kind, obstacles, conversation, operations[0] ?? expect.unreachable());
  const { outcomes } = await decide(pool, conversation, operations as never, [Buffer.from('bytes')]);
  return outcomes.map(answerOf);
}

/** The look-up alone finds the answers of the first checks, and nothing of the later ones. */
async function checkLookUp(
  kind: Kind,
  obstacles: readonly Obstacle[],
  conversation: string,
  operation: Record<string, unknown>,
): Promise<void> {
  const early = obstacles.filter((one) =>
    ['never a member', 'lost position', 'earlier answer', 'other use of the id', 'removed'].includes(one),
  );
  const { rows } = await database().pool.query<{ outcome: Outcome | null }>(
    `select earlier_answer($1, $2) -> 'outcome' as outcome`,
    [conversation, JSON.stringify(operation)],
  );
  const outcome = rows[0]?.outcome ?? undefined;
  const expected = expectedAnswer(kind, early);
  const found = outcome === undefined ? 'accepted' : answerOf(outcome);
  expect([operation.kind, obstacles, found]).toEqual([operation.kind, obstacles, expected]);
}

function expectedAnswer({ answers }: Kind, obstacles: readonly Obstacle[]): Answer {
  // A former member who uses an id again learns that it was removed, and not what the id stands for.
  const first = obstacles.find((one) => answers[one] !== 'accepted');
  if (first === 'other use of the id' && obstacles.includes('removed')) return answers.removed ?? 'accepted';
  return (first === undefined ? undefined : answers[first]) ?? 'accepted';
}

async function put(
  conversation: string,
  { operation, forbid }: Kind,
  obstacles: readonly Obstacle[],
  id: string,
  isLast = true,
): Promise<Record<string, unknown>> {
  const { pool } = database();
  const asked: Record<string, unknown> = {
    ...operation,
    id,
    actor: 'alice',
    ...(operation.kind === 'reset' ? { successor: `${conversation}-next` } : {}),
  };
  if (obstacles.includes('earlier answer')) expect(await send(conversation, [asked], true)).toBe('accepted');
  if (obstacles.includes('other use of the id')) {
    const other =
      'bytes' in operation || operation.kind === 'commit'
        ? { kind: 'message', sha256: 'ff', size: 1, epoch: 5, bytes: { ciphertext: 1 } }
        : { kind: 'increment', by: 7 };
    expect(await send(conversation, [{ ...other, id, actor: 'bob' }], true)).toBe('accepted');
  }
  const set = (table: string, change: string): Promise<unknown> =>
    table === 'conversation'
      ? pool.query(`update conversation set ${change} where id = $1`, [conversation])
      : pool.query(
          `update member m set ${change} from conversation c where c.key = m.conversation and c.id = $1 and user_id = 'alice'`,
          [conversation],
        );
  if (isLast) {
    if (obstacles.includes('removed')) await set('member', 'left_seq = 0, left_epoch = 5, left_at = now()');
    if (obstacles.includes('successor')) await set('conversation', `successor = 'other'`);
    if (obstacles.includes('pending join')) await set('member', 'awaited = true');
    if (obstacles.includes('epoch ahead')) await set('conversation', 'epoch = 1');
    if (obstacles.includes('epoch behind')) await set('conversation', 'epoch = 9');
    if (obstacles.includes('policy') && forbid !== undefined) {
      await (forbid === NO_ADMIN ? set('member', `role = 'member'`) : set('conversation', forbid));
    }
  }
  return {
    ...asked,
    ...(obstacles.includes('never a member') ? { actor: 'mallory' } : {}),
    ...(obstacles.includes('lost position') ? { position: '9.AAAAAAAAAAAAAAAA' } : {}),
    ...(obstacles.includes('deadline') ? { notAfter: 1 } : {}),
    ...(obstacles.includes('message bytes missing') ? { bytes: undefined } : {}),
  };
}

function start({ protocol }: Kind): Promise<string> {
  return startConversation(database().pool, { epoch: 5, ...(protocol === undefined ? {} : { protocol }) });
}

async function send(conversation: string, operations: readonly object[], withBytes: boolean): Promise<string> {
  const sent = withBytes ? [Buffer.from('bytes')] : [];
  const { outcomes } = await decide(database().pool, conversation, operations as never, sent);
  return answerOf(outcomes[0] ?? expect.unreachable());
}

function answerOf(outcome: Outcome): string {
  return outcome.status === 'refused' ? outcome.code : outcome.status;
}

function isExclusive(obstacles: readonly Obstacle[]): boolean {
  return EXCLUSIVE.some((group) => obstacles.filter((one) => group.includes(one)).length > 1);
}

function pairs(): Obstacle[][] {
  return OBSTACLES.flatMap((one, i) => OBSTACLES.slice(i + 1).map((other) => [one, other]));
}
