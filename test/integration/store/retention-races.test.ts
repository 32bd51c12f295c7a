import { expect, test } from 'vitest';
import { touchDevices } from '../../../store/device/devices.ts';
import { readPage } from '../../../store/log/entries.ts';
import { acknowledge } from '../../../store/device/positions.ts';
import { retain } from '../../../store/retention/retention.ts';
import { acknowledgeWelcome, listWelcomes } from '../../../store/welcome/welcomes.ts';
import { seqOf } from '../../harness/outcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { type Request, send, sendOne, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const ROUNDS = 50;

test('steps that race with senders, commits and readers lose nothing that is needed and leave no silent gap (invariants 1 to 8)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, {
    protocol: 'opaque',
    members: ['alice', 'bob', 'reader', 'sleeper'],
    // Whatever age the test gives them, entries wait for the reader.
    policy: { retentionDays: 1, commitRetentionDays: 3650 },
  });
  const reader = { user: 'reader', device: 'phone' };
  await touchDevices(pool, [reader]);
  const accepted = new Map<number, string>();
  let isOver = false;

  const write = async (writer: number): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const requests = requestsOf(writer, round);
      const { outcomes } = await send(pool, conversation, requests);
      outcomes.forEach((outcome, i) => {
        const request = requests[i];
        const seq = seqOf(outcome);
        if (outcome.status !== 'accepted' || seq === undefined || request === undefined) return;
        expect(accepted.has(seq), `seq ${seq} was given twice`).toBe(false);
        accepted.set(seq, request.id);
      });
    }
  };
  const untilOver = async (run: () => Promise<void>): Promise<void> => {
    while (!isOver) await run();
  };

  // Reads and acknowledges: nothing after its position may go.
  const log: { seq: number; id: string }[] = [];
  const readOn = async (): Promise<void> => {
    const after = log.at(-1)?.seq ?? 0;
    const page = await readPage(pool, conversation, reader.user, after, 7);
    expect(page?.truncated).toBe(false);
    log.push(...(page?.entries ?? []).map(({ seq, id }) => ({ seq, id })));
    const position = log.at(-1)?.seq;
    if (position !== undefined) await acknowledge(pool, reader, new Map([[conversation, { seq: position }]]));
  };
  // Retention does not wait for this reader: it may miss entries, and gets `history-truncated`.
  let asleep = 0;
  let truncations = 0;
  const readNowAndThen = async (): Promise<void> => {
    const page = await readPage(pool, conversation, 'sleeper', asleep, 5);
    if (page === undefined) return expect.unreachable();
    if (page.truncated) {
      expect(page.oldestSeq).toBeGreaterThan(asleep + 1);
      truncations++;
      asleep = page.oldestSeq - 1;
      return;
    }
    expect(page.entries.map(({ seq }) => seq)).toEqual(page.entries.map((_, i) => asleep + 1 + i));
    asleep = page.entries.at(-1)?.seq ?? asleep;
    // Long enough for retention to take something meanwhile.
    const { size } = accepted;
    await waitUntil(() => accepted.size >= size + 10 || isOver, { what: 'the log has grown' });
  };
  const steps = async (): Promise<void> => {
    await retain(pool, conversation, Date.now(), 9);
  };

  await Promise.all([
    Promise.all([0, 1, 2, 3].map(write)).finally(() => (isOver = true)),
    untilOver(() => growOld(conversation)),
    untilOver(readOn),
    untilOver(readNowAndThen),
    untilOver(steps),
    untilOver(steps),
    untilOver(() => checkInvariants(pool, conversation)),
  ]);
  while ((log.at(-1)?.seq ?? 0) < accepted.size) await readOn();
  expect(log).toEqual([...accepted].sort(([a], [b]) => a - b).map(([seq, id]) => ({ seq, id })));
  expect(truncations).toBeGreaterThan(0);

  await growOld(conversation);
  for (let i = 0; i < accepted.size; i += 9) await steps();
  await checkInvariants(pool, conversation);
  const { rows } = await pool.query('select oldest_seq, last_seq from conversation where id = $1', [conversation]);
  expect(rows, 'all but the young ones').toEqual([{ oldest_seq: accepted.size - 3, last_seq: accepted.size }]);
});

test('a Welcome is either acknowledged or reported as expired: never both, and never neither', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque' });
  const users = Array.from({ length: 60 }, (_, i) => `new-${i}`);
  await sendOne(pool, conversation, {
    kind: 'commit',
    id: 'in',
    actor: 'alice',
    body: 'in',
    adds: users,
    welcome: 'w',
  });
  const welcomes = await Promise.all(
    users.map(async (user) => ({
      user,
      id: (await listWelcomes(pool, { user, device: 'phone' })).welcomes[0]?.id ?? '',
    })),
  );
  const later = Date.now() + 31 * 86_400_000;
  const taken: string[] = [];
  await Promise.all([
    ...welcomes.map(async ({ user, id }) => {
      if (await acknowledgeWelcome(pool, { user, device: 'phone' }, id)) taken.push(user);
    }),
    ...Array.from({ length: 30 }, () => retain(pool, conversation, later, 2)),
  ]);
  while ((await retain(pool, conversation, later, 9))?.changed === true);
  const { rows } = await pool.query<{ user: string }>(
    `select h.data ->> 'user' as user from change h join conversation c on c.key = h.conversation
     where c.id = $1 and h.kind = 'welcome-expired'`,
    [conversation],
  );
  expect([...taken, ...rows.map(({ user }) => user)].sort()).toEqual(users.sort());
  await checkInvariants(pool, conversation);
});

function requestsOf(writer: number, round: number): Request[] {
  const name = `${writer}-${round}`;
  const actor = ['alice', 'bob'][round % 2] ?? '';
  if (writer === 0 && round % 4 === 0) return [{ kind: 'commit', id: `c${name}`, actor, body: name }];
  if (writer === 1 && round % 10 === 5) return [{ kind: 'commit', id: `a${name}`, actor, adds: [`user-${round}`] }];
  if (writer === 2 && round % 10 === 5) return [{ kind: 'read', id: `r${name}`, actor, seq: round }];
  return Array.from({ length: round % 12 }, (_, i) => ({ kind: 'message', id: `m${name}-${i}`, actor, body: name }));
}

/** Makes all but the newest entries two days old; under the conversation's lock, as everything that writes to a log. */
async function growOld(conversation: string): Promise<void> {
  const client = await database().pool.connect();
  try {
    await client.query('begin');
    await client.query('select from conversation where id = $1 for no key update', [conversation]);
    await client.query(
      `update entry e set at = e.at - interval '2 days' from conversation c
       where c.id = $1 and e.conversation = c.key and e.seq < c.last_seq - 3 and e.at > now() - interval '1 day'`,
      [conversation],
    );
    await client.query('commit');
  } finally {
    client.release();
  }
}
