import fc from 'fast-check';
import { expect, test } from 'vitest';
import { listConversations } from '../../../store/conversation/lists.ts';
import type { EntryKind } from '../../../domain/log-entry.ts';
import { readPage } from '../../../store/log/entries.ts';
import { readSharedLogSlice } from '../../../store/log/log-slices.ts';
import { findNews } from '../../../store/log/news.ts';
import { listMembers } from '../../../store/membership/members.ts';
import { listWelcomes, acknowledgeWelcome } from '../../../store/welcome/welcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { PROPERTY_TIMEOUT_MS, propertyOptions } from '../../harness/random-requests.ts';
import { type Request, send, sendOne, startConversation } from '../../harness/requests.ts';

const database = useDatabase();

/** One letter an entry: a, b = application of alice, bob; p = proposal; c = commit; -, + = bob is removed, added. */
async function history(letters: string): Promise<string> {
  const conversation = await startConversation(database().pool, { members: ['bob'] });
  let epoch = 0;
  const requests = Array.from(letters, (letter, i): Request => {
    const base = { id: `e${i + 1}`, body: `entry ${i + 1}`, epoch };
    if (letter === 'a' || letter === 'b') return { kind: 'message', ...base, actor: letter === 'a' ? 'alice' : 'bob' };
    if (letter === 'p') return { kind: 'message', ...base, actor: 'alice', type: 'proposal' };
    epoch++;
    const change = letter === '-' ? { removes: ['bob'] } : letter === '+' ? { adds: ['bob'] } : {};
    return { kind: 'commit', ...base, actor: 'alice', ...change };
  });
  const { outcomes } = await send(database().pool, conversation, requests);
  expect(outcomes.map(({ status }) => status)).toEqual(requests.map(() => 'accepted'));
  return conversation;
}

async function walk(conversation: string, user: string, limits: () => number, kind?: EntryKind): Promise<number[]> {
  const seqs: number[] = [];
  for (let after = 0; ; after = seqs.at(-1) ?? 0) {
    const limit = limits();
    const page = await readPage(database().pool, conversation, user, after, limit, kind);
    const found = page?.entries.map(({ seq }) => seq) ?? [];
    expect(found.length).toBeLessThanOrEqual(limit);
    if (found.length === 0) return seqs;
    seqs.push(...found);
  }
}

test(
  'invariant 5: pages of any size, one after another, give what a user may read, in order, once',
  async () => {
    const stays = fc.array(fc.constantFrom('aab', 'c', 'p', 'aa', 'away'), { maxLength: 12 });
    const property = fc.asyncProperty(
      stays,
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
      fc.constantFrom(undefined, 'application' as const, 'commit' as const, 'proposal' as const),
      async (pieces, limits, kind) => {
        const letters = pieces.map((piece) => (piece === 'away' ? '-aca+' : piece)).join('');
        fc.pre(!/p[^c+-]*p[^c+-]*p[^c+-]*p/.test(letters));
        const conversation = await history(letters);
        const readable: number[] = [];
        let isIn = true;
        Array.from(letters).forEach((letter, i) => {
          const kindHere = 'c+-'.includes(letter) ? 'commit' : letter === 'p' ? 'proposal' : 'application';
          if (letter === '+') isIn = true;
          if (isIn && (kind === undefined || kind === kindHere)) readable.push(i + 1);
          if (letter === '-') isIn = false;
        });
        let n = 0;
        expect(await walk(conversation, 'bob', () => limits[n++ % limits.length] ?? 1, kind)).toEqual(readable);
      },
    );
    await fc.assert(property, propertyOptions(60));
  },
  PROPERTY_TIMEOUT_MS,
);

test('a page ends before the entry with which it would exceed a megabyte, and an entry above that is a page of its own', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const sizes = [400, 400, 400, 1500, 10, 0, 10].map((kb) => kb * 1000);
  const requests = sizes.map((size, i): Request => {
    return { kind: 'message', id: `e${i + 1}`, body: 'x'.repeat(size), epoch: 0, actor: 'alice' };
  });
  for (const request of requests) await sendOne(pool, conversation, request);
  const pages: number[][] = [];
  for (let after = 0; after < sizes.length; after = pages.at(-1)?.at(-1) ?? Infinity) {
    const page = await readPage(pool, conversation, 'alice', after, 1000);
    pages.push(page?.entries.map(({ seq }) => seq) ?? []);
    expect(page?.more).toBe((pages.at(-1)?.at(-1) ?? 0) < sizes.length);
  }
  expect(pages).toEqual([[1, 2], [3], [4], [5, 6, 7]]);
});

test('invariant 8: a former member reads its stays and hears where they end', async () => {
  const conversation = await history('ab-aa+a-aaa');
  const page = await readPage(database().pool, conversation, 'bob', 0, 100);
  expect(page).toMatchObject({ lastSeq: 8, leftSeq: 8, oldestSeq: 1, truncated: false });
  expect(page?.entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 6, 7, 8]);
  const [entry] = page?.entries ?? [];
  expect(entry).toMatchObject({ kind: 'application', id: 'e1', epoch: 0, sender: null });
  expect(String(entry?.ciphertext)).toBe('entry 1');
  expect(await readPage(database().pool, conversation, 'bob', 8, 100)).toMatchObject({ entries: [], leftSeq: 8 });
  expect(await readPage(database().pool, conversation, 'alice', 10, 100)).toMatchObject({ lastSeq: 11, leftSeq: null });
  expect(await readPage(database().pool, conversation, 'mallory', 0, 100)).toBeUndefined();
  expect(await readPage(database().pool, 'no-such', 'alice', 0, 100)).toBeUndefined();
});

test('invariant 8: pages and removals are of one snapshot, however they race', async () => {
  const { pool } = database();
  for (let round = 0; round < 15; round++) {
    const conversation = await history('a');
    const removal: Request = { kind: 'commit', id: 'rm', actor: 'alice', body: 'rm', epoch: 0, removes: ['bob'] };
    const secret: Request = { kind: 'message', id: 'secret', actor: 'alice', body: 'secret', epoch: 1 };
    const [pages] = await Promise.all([
      Promise.all(Array.from({ length: 4 }, () => readPage(pool, conversation, 'bob', 0, 100))),
      send(pool, conversation, [removal]).then(() => send(pool, conversation, [secret])),
    ]);
    for (const page of pages) {
      expect(page?.entries.map(({ id }) => id)).not.toContain('secret');
      // Bounds and rows agree: who reads as a former member has the removing commit.
      if (page?.leftSeq === 2) expect(page.entries.at(-1)?.id).toBe('rm');
    }
  }
});

test('a shared log slice holds new entries, and which of its users lost or regained the conversation', async () => {
  const { pool } = database();
  const conversation = await history('aaa-a+a');
  const slice = await readSharedLogSlice(pool, conversation, ['alice', 'bob'], { seq: 2, key: 0 }, 2);
  expect(slice).toMatchObject({
    lastSeq: 7,
    deleted: false,
    left: new Map(),
    rejoined: new Map([['bob', 6]]),
    more: true,
  });
  const entries = slice?.items.filter(({ type }) => type === 'entry');
  expect(entries?.map(({ seq }) => seq)).toEqual([3, 4]);
  const left = await history('aa-a');
  const atEnd = await readSharedLogSlice(pool, left, ['bob'], { seq: 4, key: 0 }, 10);
  expect(atEnd).toMatchObject({ left: new Map([['bob', 3]]), items: [], rejoined: new Map() });
  expect(await readSharedLogSlice(pool, 'no-such', ['bob'], { seq: 0, key: 0 }, 10)).toBeUndefined();
  await sendOne(pool, left, { kind: 'delete', id: 'd', actor: 'alice' });
  expect(await readSharedLogSlice(pool, left, ['alice'], { seq: 4, key: 0 }, 10)).toMatchObject({ deleted: true });
});

test('the poll of streams finds conversations with news, lost members and deletions, and no others', async () => {
  const { pool } = database();
  const [quiet, news, lost, gone] = [await history('a'), await history('aa'), await history('a-'), await history('a')];
  await sendOne(pool, gone, { kind: 'delete', id: 'd', actor: 'alice' });
  const watched = [quiet, news, lost, gone].flatMap((conversation) =>
    ['alice', 'bob'].map((user) => ({
      conversation,
      user,
      seq: conversation === lost ? 2 : 1,
      key: 0,
      readMark: null,
    })),
  );
  const found = (await findNews(pool, watched)).map(({ index }) => watched[index]?.conversation);
  expect([...new Set(found)].sort()).toEqual([news, lost, gone].sort());
});

test('lists go on where the page before ended', async () => {
  const { pool } = database();
  const members = Array.from({ length: 25 }, (_, i) => `user-${String(i).padStart(2, '0')}`);
  const conversation = await startConversation(pool, { members });
  const seen: string[] = [];
  for (let after = ''; ; after = seen.at(-1) ?? '') {
    const page = await listMembers(pool, conversation, after, 7);
    if (page.length === 0) break;
    seen.push(...page.map(({ user }) => user));
  }
  expect(seen).toEqual(['alice', ...members].sort());

  const mine: string[] = [];
  for (let i = 0; i < 5; i++) mine.push(await startConversation(pool, { creator: 'zoe', members: [] }));
  const first = await listConversations(pool, 'zoe', '', 3);
  const rest = await listConversations(pool, 'zoe', first.at(-1)?.id ?? '', 3);
  expect([...first, ...rest].map(({ id }) => id)).toEqual(mine);
});

test('a Welcome waits until its user takes it, and nobody else can', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque' });
  const add: Request = {
    kind: 'commit',
    id: 'c',
    actor: 'alice',
    body: 'c',
    epoch: 0,
    adds: ['yan'],
    welcome: 'come in',
  };
  await sendOne(pool, conversation, add);
  const [welcome] = (await listWelcomes(pool, { user: 'yan', device: 'phone' })).welcomes;
  expect(welcome).toMatchObject({ conversation, seq: 1, epoch: 1 });
  expect(await acknowledgeWelcome(pool, { user: 'bob', device: 'phone' }, welcome?.id ?? '')).toBe(false);
  expect(await acknowledgeWelcome(pool, { user: 'yan', device: 'phone' }, welcome?.id ?? '')).toBe(true);
  expect(await listWelcomes(pool, { user: 'yan', device: 'phone' })).toEqual({ welcomes: [] });
});
