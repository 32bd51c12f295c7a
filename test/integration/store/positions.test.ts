import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { type Position, formatPosition, positionAt } from '../../../domain/position.ts';
import { decide } from '../../../store/decision/decide.ts';
import { readEarlierAnswer } from '../../../store/decision/earlier-answer.ts';
import { acknowledge, listFollowedConversations } from '../../../store/device/positions.ts';
import { readPage } from '../../../store/log/entries.ts';
import { findAgreed, readLogStart } from '../../../store/log/positions.ts';
import { retain } from '../../../store/retention/retention.ts';
import { stage } from '../../../store/staging/stage.ts';
import { useDatabase } from '../../harness/database.ts';
import { PROPERTY_TIMEOUT_MS, propertyOptions } from '../../harness/random-requests.ts';
import { send, sendOne, startConversation } from '../../harness/requests.ts';
import { keepConversation } from '../../harness/kept-conversation.ts';

const database = useDatabase();
/** Below this number of messages in a row each is decided by itself. */
const RUN = 8;

interface Log {
  readonly head: number;
  readonly oldest: number;
  readonly base: number;
  readonly values: ReadonlyMap<number, Buffer>;
}

/** The values of a log as it is stored, and the value before each block. */
async function logOf(pool: pg.Pool, conversation: string): Promise<Log> {
  const { rows } = await pool.query<{ seq: number; chain: Buffer | null }>(
    `select e.seq, e.chain from conversation c join entry e on e.conversation = c.key where c.id = $1 order by e.seq`,
    [conversation],
  );
  const { rows: facts } = await pool.query<{ head: number; oldest: number; base: number; before: Buffer | null }>(
    `select last_seq as head, oldest_seq as oldest, coalesce(chain_base, last_seq) as base, oldest_chain as before
     from conversation where id = $1`,
    [conversation],
  );
  const [{ head, oldest, base, before } = { head: 0, oldest: 1, base: 0, before: null }] = facts;
  const values = new Map<number, Buffer>();
  for (const { seq, chain } of rows) if (chain !== null) values.set(seq, chain);
  if (before !== null) values.set(oldest - 1, before);
  return { head, oldest, base, values };
}

interface Reader {
  readonly left: number | null;
  readonly periods: readonly { readonly from: number; readonly to: number | null }[];
}

async function readerOf(pool: pg.Pool, conversation: string, user: string): Promise<Reader> {
  const { rows } = await pool.query<{ left: number | null; from: number; to: number | null }>(
    `select m.left_seq as left, p.from_seq as from, p.to_seq as to from conversation c
     join member m on m.conversation = c.key and m.user_id = $2
     join period p on p.conversation = c.key and p.user_id = $2 where c.id = $1`,
    [conversation, user],
  );
  return { left: rows[0]?.left ?? null, periods: rows };
}

/** The rules of docs/reference/log-chain.md, said once more. */
function verdictOf(position: Position, log: Log, { left, periods }: Reader): 'equal' | 'restarted' | 'unknown' {
  const { seq, mark } = position;
  if (seq > (left ?? log.head)) return 'restarted';
  if (mark === undefined || seq < log.oldest - 1 || (seq <= log.base && log.base > 0)) return 'unknown';
  if (!periods.some(({ from, to }) => seq >= from - 1 && seq <= (to ?? Infinity))) return 'unknown';
  const value = log.values.get(seq);
  if (value === undefined) return 'unknown';
  return positionAt(seq, value).mark === mark ? 'equal' : 'restarted';
}

const STEPS = ['say', 'say', 'say', 'add', 'remove', 'retain', 'forget'] as const;

type Case = [(typeof STEPS)[number][], 'alice', { seq: number; mark: 'true' | 'false' | 'none' }[]];
/** A log that was empty when the service got the chain. */
const EMPTY: Case = [['add', 'add', 'forget'], 'alice', (['true', 'none'] as const).map((mark) => ({ seq: 0, mark }))];
/** Retention has taken all that is older than the chain: what is left begins at its base. */
const AT_BASE: Case = [
  ['say', 'retain', 'forget', 'say', 'say'],
  'alice',
  (['true', 'false', 'none'] as const).map((mark) => ({ seq: 1, mark })),
];

/** A log with joins, removals, retention, and perhaps entries that are older than the chain. */
async function grow(pool: pg.Pool, conversation: string, steps: readonly (typeof STEPS)[number][]): Promise<void> {
  let n = 0;
  for (const step of steps) {
    const id = `step-${n++}`;
    if (step === 'say') await sendOne(pool, conversation, { kind: 'message', id, actor: 'alice', body: id });
    if (step === 'add') await sendOne(pool, conversation, { kind: 'commit', id, actor: 'alice', adds: ['bob'] });
    if (step === 'remove') await sendOne(pool, conversation, { kind: 'commit', id, actor: 'alice', removes: ['bob'] });
    if (step === 'retain') {
      await pool.query(
        `update entry set at = at - interval '3 days'
         where conversation = (select key from conversation where id = $1) and seq <= $2`,
        [conversation, Math.floor(n / 2)],
      );
      await retain(pool, conversation, Date.now(), 100);
    }
    if (step === 'forget' && n === 3) {
      await pool.query(
        `update entry set chain = null where conversation = (select key from conversation where id = $1)`,
        [conversation],
      );
      await pool.query(
        `update conversation set chain = null, chain_base = null, base_epoch = null, oldest_chain = null where id = $1`,
        [conversation],
      );
    }
  }
}

test(
  'pages, streams, acknowledgements, comparisons and decisions judge a position alike (invariant 13)',
  async () => {
    const { pool } = database();
    let asked = 0;
    const property = fc.asyncProperty(
      fc.array(fc.constantFrom(...STEPS), { minLength: 3, maxLength: 14 }),
      fc.constantFrom('alice', 'bob'),
      fc.array(fc.record({ seq: fc.nat({ max: 16 }), mark: fc.constantFrom('true', 'false', 'none') }), {
        minLength: 4,
        maxLength: 8,
      }),
      async (steps, user, guesses) => {
        const policy = { retentionDays: 1, commitRetentionDays: 1 };
        const conversation = await startConversation(pool, {
          protocol: 'opaque',
          members: ['alice', 'bob'],
          policy,
        });
        await grow(pool, conversation, steps);
        const reader = await readerOf(pool, conversation, user);
        for (const guess of guesses) {
          const log = await logOf(pool, conversation);
          const value = log.values.get(guess.seq) ?? createHash('sha256').update('no value').digest();
          const other = createHash('sha256').update(value).digest();
          const { seq } = guess;
          const position: Position =
            guess.mark === 'none' ? { seq } : positionAt(seq, guess.mark === 'true' ? value : other);
          const expected = verdictOf(position, log, reader);
          const ends = {
            lastSeq: reader.left ?? log.head,
            oldestSeq: Math.min(log.oldest, (reader.left ?? log.head) + 1),
          };

          const page = await readPage(pool, conversation, user, position, 5);
          expect(page?.restarted).toBe(expected === 'restarted');
          if (expected === 'restarted') expect(page).toMatchObject({ ...ends, entries: [] });
          expect(await readLogStart(pool, conversation, user, position)).toMatchObject({
            ...ends,
            restarted: expected === 'restarted',
          });
          const agreed = expected === 'equal' ? formatPosition(position) : null;
          expect(await findAgreed(pool, conversation, user, [position])).toBe(agreed);
          const acknowledged = await acknowledge(
            pool,
            { user, device: `device-${asked++}` },
            new Map([[conversation, position]]),
          );
          if (expected === 'restarted' && position.mark === undefined) {
            expect(acknowledged).toMatchObject({ status: 'ahead', conversation });
          } else {
            expect(acknowledged).toMatchObject({
              restarted: expected === 'restarted' ? { [conversation]: ends } : {},
            });
          }

          const refused = { status: 'refused', code: 'log-restarted', ...ends };
          const message = (n: number): Record<string, unknown> => ({
            kind: 'message',
            id: `ask-${asked}-${n}`,
            actor: user,
            sha256: createHash('sha256').update(`body ${n}`).digest('hex'),
            bytes: { ciphertext: n },
            position: formatPosition(position),
          });
          const run = Array.from({ length: RUN }, (_, i) => message(i + 1));
          const bodies = run.map((_, i) => Buffer.from(`body ${i + 1}`));
          const look = await readEarlierAnswer(pool, conversation, {
            kind: 'message',
            id: `look-${asked}`,
            actor: user,
            sha256: 'ab',
            bytes: { ciphertext: Buffer.from('') },
            position: formatPosition(position),
          });
          const restore = await keepConversation(pool, conversation);
          const alone = await decide(pool, conversation, [run[0] as never], bodies);
          await restore();
          const together = await decide(pool, conversation, run as never, bodies);
          await restore();
          const keys = await stage(
            pool,
            bodies.map((ciphertext) => ({ conversation, user, ciphertext })),
          );
          const staged = run.map(({ bytes: _bytes, actor, ...operation }, i) =>
            typeof keys[i] === 'number' ? { ...operation, body: keys[i] } : { ...operation, actor, bytes: _bytes },
          );
          const byReference = await decide(pool, conversation, staged as never, bodies);
          await restore();
          // Nothing of an empty log is older than the chain: the first decision begins it at its origin, and that is not the guess.
          const isBegun = log.head > 0 || log.values.size > 0;
          const judged = isBegun || position.mark === undefined ? expected : 'restarted';
          for (const outcome of [...alone.outcomes, ...together.outcomes, ...byReference.outcomes]) {
            if (judged === 'restarted') expect(outcome).toEqual(refused);
            else if (reader.left === null) expect(outcome).toMatchObject({ status: 'accepted' });
            else expect(outcome).toMatchObject({ status: 'refused', code: 'removed', seq: reader.left });
          }
          if (expected === 'restarted') expect(look.outcome).toEqual(refused);
          else expect(look.outcome?.status).toBe(reader.left === null ? undefined : 'refused');
        }
      },
    );
    await fc.assert(property, { ...propertyOptions(20), examples: [AT_BASE, EMPTY] });
  },
  PROPERTY_TIMEOUT_MS,
);

test('after a rollback a retry is answered from the log that there is now, and only if its position is in it', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, {});
  const say = (id: string, position?: string): ReturnType<typeof decide> =>
    decide(
      pool,
      conversation,
      [
        {
          kind: 'message',
          id,
          actor: 'bob',
          sha256: createHash('sha256').update(id).digest('hex'),
          bytes: { ciphertext: 1 },
          ...(position === undefined ? {} : { position }),
        },
      ],
      [Buffer.from(id)],
    );
  const at = async (): Promise<string> => {
    const page = await readPage(pool, conversation, 'bob', 0, 100);
    if (page === undefined) throw new Error('bob may not read');
    return formatPosition(page.position);
  };
  await say('a');
  const first = await at();
  await say('b', first);
  const restore = await keepConversation(pool, conversation);
  await say('c', await at());
  const lost = await at();
  await restore();
  const restarted = { status: 'refused', code: 'log-restarted', lastSeq: 2, oldestSeq: 1 };
  expect((await say('c', lost)).outcomes).toEqual([restarted]);
  // Its bytes are in the log; but its sender has read more than the log has.
  expect((await say('b', lost)).outcomes).toEqual([restarted]);
  expect((await say('b', first)).outcomes).toMatchObject([{ status: 'duplicate', seq: 2 }]);
  await send(pool, conversation, [{ kind: 'message', id: 'other', actor: 'alice', body: 'other' }]);
  expect((await say('d', lost)).outcomes).toEqual([{ ...restarted, lastSeq: 3 }]);
  expect((await say('d', first)).outcomes).toMatchObject([{ status: 'accepted', seq: 4 }]);
});

test('of a run only the messages with a lost position are refused', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, {});
  const operations = Array.from({ length: 20 }, (_, i) => ({
    kind: 'message',
    id: `m${i}`,
    actor: 'bob',
    sha256: createHash('sha256').update(`m${i}`).digest('hex'),
    bytes: { ciphertext: i + 1 },
    ...(i % 3 === 0 ? { position: '0.AAAAAAAAAAAAAAAA' } : {}),
  }));
  const { outcomes } = await decide(
    pool,
    conversation,
    operations as never,
    operations.map(({ id }) => Buffer.from(id)),
  );
  let seq = 0;
  for (const [i, outcome] of outcomes.entries()) {
    if (i % 3 === 0) expect(outcome).toMatchObject({ status: 'refused', code: 'log-restarted' });
    else expect(outcome).toMatchObject({ status: 'accepted', seq: ++seq });
  }
});

test('each block of a page has the value before it, and a page says where its reader is', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque', members: ['alice', 'bob'] });
  const steps = ['say', 'remove', 'say', 'say', 'add', 'say'] as const;
  await grow(pool, conversation, steps);
  const { values, head } = await logOf(pool, conversation);
  const page = await readPage(pool, conversation, 'bob', 0, 100);
  expect(page?.entries.map(({ seq, chainBefore }) => [seq, chainBefore])).toEqual([
    [1, values.get(0)],
    [2, undefined],
    [5, values.get(4)],
    [6, undefined],
  ]);
  expect(page?.position).toEqual(positionAt(head, values.get(head) ?? null));
  expect((await readPage(pool, conversation, 'bob', 6, 100))?.position).toEqual(page?.position);
  // A place in the gap is no alarm, and nobody learns by it what stands there.
  for (const mark of ['true', 'false']) {
    const position = mark === 'true' ? positionAt(3, values.get(3) ?? null) : { seq: 3, mark: 'AAAAAAAAAAAAAAAA' };
    expect(await findAgreed(pool, conversation, 'bob', [position])).toBeNull();
    expect((await readPage(pool, conversation, 'bob', position, 1))?.entries[0]?.seq).toBe(5);
  }
});

test('a stored position that the log lost is told to the stream of its device, and replaced by a lower one', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, {});
  const device = { user: 'bob', device: 'phone' };
  for (const id of ['a', 'b', 'c'])
    await sendOne(pool, conversation, { kind: 'message', id, actor: 'alice', body: id });
  const { values } = await logOf(pool, conversation);
  const at = (seq: number): Position => positionAt(seq, values.get(seq) ?? null);
  await acknowledge(pool, device, new Map([[conversation, at(3)]]));
  const follow = async (): Promise<unknown> => {
    for await (const page of listFollowedConversations(pool, device)) {
      const followed = page.find((one) => one.conversation === conversation);
      if (followed !== undefined) return followed;
    }
    return undefined;
  };
  expect(await follow()).toMatchObject({ position: 3, mark: at(3).mark, behind: false });
  await pool.query(`update device_position set mark = 'AAAAAAAAAAAAAAAA'
    where conversation = (select key from conversation where id = '${conversation}')`);
  expect(await follow()).toMatchObject({ behind: true });
  expect(await acknowledge(pool, device, new Map([[conversation, at(2)]]))).toMatchObject({
    positions: { [conversation]: 2 },
  });
  expect(await acknowledge(pool, device, new Map([[conversation, at(1)]]))).toMatchObject({
    positions: { [conversation]: 2 },
  });
});
