import { expect, test } from 'vitest';
import { type ConversationPage, syncConversations } from '../../../client/index.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { retain } from '../../../store/retention/retention.ts';
import { seedMany } from '../../../tools/load/seed-many.ts';
import { userName } from '../../../tools/load/tokens.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { type Request, send, startConversation } from '../../harness/requests.ts';

/** `GET /v1/conversations?changedSince=`: a device learns what changed in bounded requests, and misses nothing. */
const { database, service } = useApi();

interface Listed {
  readonly id: string;
  readonly role: string;
  readonly lastSeq: number;
  readonly [fact: string]: unknown;
}
interface Page {
  readonly conversations: readonly Listed[];
  readonly next?: string;
  readonly changedSince?: string;
  readonly total?: number;
  readonly full?: true;
}

async function page(user: string, query: Readonly<Record<string, string>>): Promise<Page> {
  const answer = await service.ask(`GET /v1/conversations?${new URLSearchParams(query).toString()}`, { user });
  expect(answer.status).toBe(200);
  return answer.body as unknown as Page;
}

/**
 * Waits until every transaction that has begun is over, also those of other test files in the same server: what they hold open comes
 * again in lists.
 */
async function settled(): Promise<void> {
  const { pool } = database();
  const { rows } = await pool.query<{ now: string }>('select pg_current_xact_id()::text as now');
  await waitUntil(
    async () => {
      const { rows: found } = await pool.query<{ over: boolean }>(
        'select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 as over',
        [rows[0]?.now],
      );
      return found[0]?.over === true;
    },
    { what: 'every older transaction is over' },
  );
}

/** All pages of one list. */
async function list(
  user: string,
  changedSince = '',
  limit = '100',
): Promise<{ all: Listed[]; since: string; total: number; full: boolean; requests: number; bytes: number }> {
  const all: Listed[] = [];
  let [requests, bytes, full] = [0, 0, false];
  let cursor: string | undefined;
  for (;;) {
    const found = await page(user, { changedSince, limit, ...(cursor === undefined ? {} : { cursor }) });
    requests++;
    bytes += JSON.stringify(found).length;
    full ||= found.full === true;
    expect(found.conversations.length).toBeLessThanOrEqual(Number(limit));
    all.push(...found.conversations);
    cursor = found.next;
    if (cursor !== undefined) continue;
    return { all, since: found.changedSince ?? '', total: found.total ?? -1, full, requests, bytes };
  }
}

const idsOf = (listed: readonly Listed[]): string[] => listed.map(({ id }) => id);

let people = 0;
const someone = (name: string): string => `${name}-${++people}`;

const message = (actor: string, id: string): Request => ({ kind: 'message', id, actor, body: id, epoch: 0 });

test('what changed is listed for everybody whom it concerns, and for nobody else', async () => {
  const { pool } = database();
  const [alice, bob, carol] = [someone('alice'), someone('bob'), someone('carol')];
  const start = (): Promise<string> =>
    startConversation(pool, { protocol: 'opaque', creator: alice, members: [bob, carol] });
  const [one, quiet] = [await start(), await start()];
  const since = new Map<string, string>();
  for (const user of [alice, bob, carol]) {
    const { all, full, total, since: point } = await list(user);
    expect([idsOf(all), full, total]).toEqual([[one, quiet], true, 2]);
    since.set(user, point);
  }
  await settled();
  for (const user of since.keys()) since.set(user, (await list(user)).since);
  /** Does something in `one`: who is told of it? */
  const told = async (requests: readonly Request[]): Promise<string[]> => {
    const { outcomes } = await send(pool, one, requests);
    expect(outcomes.map(({ status }) => status)).toEqual(requests.map(() => 'accepted'));
    await settled();
    const users = [];
    for (const user of [alice, bob, carol]) {
      const { all, full, since: point } = await list(user, since.get(user));
      since.set(user, point);
      expect([idsOf(all).filter((id) => id !== one), full]).toEqual([[], false]);
      if (all.length > 0) users.push(user);
    }
    return users;
  };
  const all = [alice, bob, carol];
  expect(await told([message(bob, 'm1')])).toEqual(all);
  expect(await told(Array.from({ length: 20 }, (_, i) => message(bob, `run-${i}`)))).toEqual(all);
  expect(await told([{ kind: 'read', id: 'r1', actor: carol }])).toEqual([carol]);
  expect(await told([{ kind: 'increment', id: 'i1', actor: carol, by: 1 }])).toEqual(all);
  expect(await told([{ kind: 'role', id: 'role', actor: alice, user: bob, role: 'admin' }])).toEqual(all);
  expect(await told([{ kind: 'policy', id: 'policy', actor: alice, policy: { maxMembers: 50 } }])).toEqual(all);
  expect(await told([{ kind: 'commit', id: 'remove', actor: alice, removes: [bob] }])).toEqual(all);
  // Bob sees nothing of what comes after.
  expect(await told([{ kind: 'message', id: 'm2', actor: carol, body: 'm2', epoch: 1 }])).toEqual([alice, carol]);
  expect(await told([{ kind: 'leave', id: 'leave', actor: carol }])).toEqual([alice, carol]);
  expect(await told([{ kind: 'commit', id: 'again', actor: alice, epoch: 1, adds: [bob] }])).toEqual([alice, bob]);
  expect((await list(bob)).total).toBe(2);
  expect((await list(carol)).total).toBe(1);
  // The deletion of a conversation shows in the total.
  await settled();
  const { since: point } = await list(bob);
  await send(pool, one, [{ kind: 'delete', id: 'delete', actor: alice }]);
  const { all: nothing, total } = await list(bob, point);
  expect([nothing, total]).toEqual([[], 1]);
});

test('a listed conversation has what a device needs to go on, within the rights of its user', async () => {
  const { pool } = database();
  const [alice, bob] = [someone('alice'), someone('bob')];
  const id = await startConversation(pool, { protocol: 'opaque', creator: alice, members: [bob] });
  await send(pool, id, [message(alice, 'm1'), message(alice, 'm2'), { kind: 'read', id: 'r', actor: bob, seq: 1 }]);
  const chainAt = async (seq: number): Promise<string> => {
    const { body } = await service.ask(`GET /v1/conversations/${id}/messages`, { user: alice });
    const entry = (body.entries as { seq: number; chain: string }[]).find((each) => each.seq === seq);
    return Buffer.from(entry?.chain ?? '', 'base64')
      .subarray(0, 12)
      .toString('base64url');
  };
  const facts = { id, oldestSeq: 1, joinedSeq: 0, epoch: 0, memberCount: 2 };
  const two = { lastSeq: 2, position: `2.${await chainAt(2)}` };
  expect((await list(alice)).all).toMatchObject([{ ...facts, ...two, role: 'admin', unread: 0, readSeq: 2 }]);
  const { all, since } = await list(bob);
  expect(all).toMatchObject([{ ...facts, ...two, role: 'member', unread: 1, readSeq: 1 }]);
  await send(pool, id, [{ kind: 'commit', id: 'remove', actor: alice, removes: [bob] }, message(alice, 'm3')]);
  const removed = {
    ...facts,
    lastSeq: 3,
    position: `3.${await chainAt(3)}`,
    role: 'removed',
    unread: 0,
    epoch: 1,
    memberCount: 1,
  };
  expect((await list(bob, since)).all).toMatchObject([removed]);
  // What retention takes is a change too.
  const { since: before } = await list(alice);
  await send(pool, id, [{ kind: 'policy', id: 'p', actor: alice, policy: { retentionDays: 1 } }]);
  await retain(pool, id, Date.now() + 300 * 86_400_000, 100);
  expect((await list(alice, before)).all).toMatchObject([{ id, oldestSeq: 5, lastSeq: 4 }]);
});

test('a transaction that is open while the page is read, and commits later, is not missed', async () => {
  const { pool } = database();
  const [alice, bob] = [someone('alice'), someone('bob')];
  const start = (): Promise<string> => startConversation(pool, { protocol: 'opaque', creator: alice, members: [bob] });
  const [open, other, read] = [await start(), await start(), await start()];
  await settled();
  const client = await pool.connect();
  try {
    await client.query('begin');
    const ops = [
      {
        kind: 'message',
        id: 'late',
        actor: alice,
        epoch: 0,
        size: 4,
        sha256: 'ab'.repeat(32),
        bytes: { ciphertext: 1 },
      },
    ];
    await client.query('select decide($1, $2, $3)', [open, JSON.stringify(ops), [Buffer.from('late')]]);
    // Transactions that began later have ended already: the greatest id that a page sees is no horizon.
    await send(pool, other, [message(bob, 'early')]);
    const first = await list(bob);
    expect(first.all.map(({ id, lastSeq }) => [id, lastSeq])).toEqual([
      [open, 0],
      [other, 1],
      [read, 0],
    ]);
    await client.query('commit');
    const second = await list(bob, first.since);
    expect(second.all.find(({ id }) => id === open)?.lastSeq).toBe(1);
    expect(idsOf(second.all)).not.toContain(read);
    // It is over, so what it changed comes no more.
    await settled();
    const { since } = await list(bob);
    expect((await list(bob, since)).all).toEqual([]);
  } finally {
    client.release();
  }
});

test('what changes on a page that was read already comes with the next list', async () => {
  const { pool } = database();
  const alice = someone('alice');
  const ids: string[] = [];
  for (let i = 0; i < 5; i++)
    ids.push(await startConversation(pool, { protocol: 'opaque', creator: alice, members: [] }));
  await settled();
  const first = await page(alice, { changedSince: '', limit: '2' });
  expect(idsOf(first.conversations)).toEqual(ids.slice(0, 2));
  await send(pool, ids[0] ?? '', [message(alice, 'm1')]);
  const second = await page(alice, { cursor: first.next ?? '', limit: '2' });
  const third = await page(alice, { cursor: second.next ?? '', limit: '2' });
  expect(idsOf([...second.conversations, ...third.conversations])).toEqual(ids.slice(2));
  expect(third).toMatchObject({ total: 5 });
  expect((await list(alice, third.changedSince)).all).toMatchObject([{ id: ids[0], lastSeq: 1 }]);
});

test('a point of another life of the database gets everything, also in the middle of a list', async () => {
  const { pool } = database();
  const alice = someone('alice');
  for (let i = 0; i < 3; i++) await startConversation(pool, { protocol: 'opaque', creator: alice, members: [] });
  await settled();
  const { since } = await list(alice);
  const { next = '' } = await page(alice, { changedSince: '', limit: '1' });
  const change = (text: string, from: RegExp, to: string): string =>
    Buffer.from(Buffer.from(text, 'base64url').toString().replace(from, to)).toString('base64url');
  // Restored to another timeline, and to an earlier state of the same one.
  const restored = [
    { changedSince: change(since, /\.[0-9a-f]{8}$/, '.00000000') },
    { changedSince: change(since, /^\d+/, '18446744073709551615') },
    { cursor: change(next, /\.[0-9a-f]{8}\./, '.00000000.') },
    { cursor: change(next, /^\d+\.\d+/, '0.18446744073709551615') },
  ];
  for (const query of restored) {
    const answer = await page(alice, query);
    expect([answer.conversations.length, answer.full, answer.total]).toEqual([3, true, 3]);
    expect((await list(alice, answer.changedSince)).all).toEqual([]);
  }
  for (const query of [`changedSince=${change(since, /^\d+/, '18446744073709551616')}`, 'changedSince=x', 'cursor=x']) {
    expect((await service.ask(`GET /v1/conversations?${query}`, { user: alice })).status).toBe(400);
  }
});

test('a device with 2,000 conversations lists them in 2 requests, and what changed in three of them in one', async () => {
  const { pool } = database();
  const circles = { name: 'sync', conversations: 2000, each: 2000, members: 2, from: 900_000 };
  await seedMany(pool, circles);
  await settled();
  const [user, peer] = [userName(900_000), userName(900_001)];
  const everything = await list(user, '', '1000');
  expect([everything.all.length, everything.total]).toEqual([2000, 2000]);
  for (const place of [3, 1000, 1999]) {
    await send(pool, everything.all[place]?.id ?? '', [message(peer, 'news')]);
  }
  const news = await list(user, everything.since, '1000');
  process.stdout.write(
    `2,000 conversations: ${everything.requests} requests, ${everything.bytes} bytes; 3 changes: ${news.requests} request, ${news.bytes} bytes\n`,
  );
  expect(idsOf(news.all)).toEqual([3, 1000, 1999].map((place) => everything.all[place]?.id));
  expect(everything.requests).toBe(2);
  expect(everything.bytes).toBeLessThan(2000 * 400);
  expect([news.requests, news.bytes < 2000]).toEqual([1, true]);
});

test('the client library keeps its list up to date: changes, deletions, and a service that was restored', async () => {
  const { pool } = database();
  const alice = someone('alice');
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) {
    ids.push(await startConversation(pool, { protocol: 'opaque', creator: alice, members: [] }));
  }
  let requests = 0;
  const api = {
    conversations: (query: Readonly<Record<string, unknown>> = {}): Promise<ConversationPage> => {
      requests++;
      const texts = Object.entries(query).map(([name, value]) => [name, String(value)]);
      return page(
        alice,
        Object.fromEntries(texts) as Record<string, string>,
      ) as Promise<unknown> as Promise<ConversationPage>;
    },
  };
  await settled();
  let { known } = await syncConversations(api);
  expect([known.conversations.map(({ id }) => id), requests]).toEqual([ids, 1]);
  /** What the next synchronisation brings. */
  const next = async (): Promise<unknown[]> => {
    await settled();
    requests = 0;
    const synced = await syncConversations(api, known);
    known = synced.known;
    return [synced.changed.map(({ id, lastSeq }) => [id, lastSeq]), synced.gone, requests];
  };
  const [first = '', second = ''] = ids;
  await send(pool, first, [message(alice, 'm1')]);
  expect(await next()).toEqual([[[first, 1]], [], 1]);
  expect(await next()).toEqual([[], [], 1]);
  // The numbers differ twice, then everything is listed.
  await send(pool, second, [{ kind: 'delete', id: 'delete', actor: alice }]);
  const [, gone, asked] = await next();
  expect([gone, asked]).toEqual([[second], 3]);
  expect(await next()).toEqual([[], [], 1]);
  const since = Buffer.from(
    Buffer.from(known.since, 'base64url')
      .toString()
      .replace(/\.[0-9a-f]+$/, '.00000000'),
  );
  known = {
    since: since.toString('base64url'),
    conversations: [...known.conversations, { ...known.conversations[0], id: 'lost' }] as never,
  };
  const [changed, lost, again] = await next();
  expect([(changed as unknown[]).length, lost, again]).toEqual([3, ['lost'], 1]);
});
