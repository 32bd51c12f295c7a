import type pg from 'pg';
import { expect, test } from 'vitest';
import { SharedCalls } from '../../../store/decision/shared-calls.ts';
import type { DecisionRequest } from '../../../store/decision/statements.ts';

const FACTS = { found: true, protocol: 'mls', epoch: 0, lastSeq: 0, memberCount: 1 };

/** A pool that notes the conversations of each call, and answers when it is told to. */
function makeFakePool(): { pool: pg.Pool; calls: string[][]; answerAll: () => void } {
  const calls: string[][] = [];
  let waiting: (() => void)[] = [];
  const query = ({ values }: { values: [string[]] }): Promise<unknown> => {
    const [conversations] = values;
    calls.push(conversations);
    const decisions = conversations.map(() => ({ facts: FACTS, outcomes: [{ status: 'accepted', unread: 0 }] }));
    return new Promise((resolve) => waiting.push(() => resolve({ rows: [{ decisions }] })));
  };
  return {
    pool: { query } as unknown as pg.Pool,
    calls,
    answerAll: () => {
      const all = waiting;
      waiting = [];
      for (const one of all) one();
    },
  };
}

function request(conversation: string, kind = 'read', count = 1): DecisionRequest {
  const operations = Array.from({ length: count }, (_, i) => ({ kind, id: `${i}`, actor: 'alice', size: 10, body: i }));
  return { conversation, operations: operations as never, bytes: [] };
}

test('requests of one turn of the event loop share a call, those that come while two are in flight share the next', async () => {
  const { pool, calls, answerAll } = makeFakePool();
  const shared = new SharedCalls(pool);
  const decide = (name: string): Promise<unknown> => shared.decide(request(name), name);
  const decided = [decide('a'), decide('b')];
  await expect.poll(() => calls.length).toBe(1);
  decided.push(decide('c'));
  await expect.poll(() => calls.length).toBe(2);
  decided.push(decide('d'));
  await new Promise((resolve) => setImmediate(resolve));
  decided.push(decide('e'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(calls).toEqual([['a', 'b'], ['c']]);
  answerAll();
  await expect.poll(() => calls.length).toBe(3);
  expect(calls[2]).toEqual(['d', 'e']);
  answerAll();
  await Promise.all(decided);
});

test('one user gets a part of a call, and the others come before its rest', async () => {
  const { pool, calls, answerAll } = makeFakePool();
  const shared = new SharedCalls(pool);
  const decided = Array.from({ length: 100 }, (_, i) => shared.decide(request(`mallory-${i}`), 'mallory'));
  for (const user of ['alice', 'bob']) decided.push(shared.decide(request(user), user));
  await expect.poll(() => calls.length).toBe(2);
  expect(calls.map((call) => call.filter((name) => name.startsWith('mallory')).length)).toEqual([16, 16]);
  expect(calls[0]).toContain('alice');
  expect(calls[0]).toContain('bob');
  while (calls.flat().length < decided.length) {
    const before = calls.length;
    answerAll();
    await expect.poll(() => calls.length).toBeGreaterThan(before);
  }
  answerAll();
  await Promise.all(decided);
});

test('commits, many operations and many bytes go alone', () => {
  expect(SharedCalls.takes(request('c', 'message', 16))).toBe(true);
  expect(SharedCalls.takes(request('c', 'message', 17))).toBe(false);
  for (const kind of ['commit', 'leave', 'policy', 'delete']) expect(SharedCalls.takes(request('c', kind))).toBe(false);
  expect(SharedCalls.takes({ ...request('c', 'message'), bytes: [new Uint8Array(64 * 1024)] })).toBe(false);
  const staged = { kind: 'message', id: 'm', body: 1, size: 65_537, sha256: '' } as const;
  expect(SharedCalls.takes({ conversation: 'c', operations: [staged], bytes: [] })).toBe(false);
});
