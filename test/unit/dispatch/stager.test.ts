import type pg from 'pg';
import { expect, test } from 'vitest';
import { makeStager } from '../../../dispatch/stager.ts';

/** A pool that notes the users of each statement's rows, and answers when it is told to. */
function makeFakePool(): { pool: pg.Pool; statements: string[][]; answerAll: () => void } {
  const statements: string[][] = [];
  let waiting: (() => void)[] = [];
  const query = ({ values }: { values: [string[], string[]] }): Promise<unknown> => {
    const [, users] = values;
    statements.push(users);
    const rows = users.map((_, i) => ({ n: i + 1, key: i + 1 }));
    return new Promise((resolve) => waiting.push(() => resolve({ rows })));
  };
  return {
    pool: { query } as unknown as pg.Pool,
    statements,
    answerAll: () => {
      const all = waiting;
      waiting = [];
      for (const one of all) one();
    },
  };
}

test('users take turns in a statement, so that one with many rows makes nobody wait', async () => {
  const { pool, statements, answerAll } = makeFakePool();
  const { stage } = makeStager(pool);
  const later = Date.now() + 60_000;
  const put = (user: string, bytes: number): Promise<unknown> =>
    stage({ conversation: 'c', user, ciphertext: new Uint8Array(bytes) }, later);
  const all = Array.from({ length: 6 }, () => put('mallory', 6 * 1024 * 1024));
  all.push(put('alice', 10), put('bob', 10), put('alice', 10));
  await expect.poll(() => statements.length).toBe(2);
  expect(statements).toEqual([
    ['mallory', 'alice', 'bob'],
    ['mallory', 'alice'],
  ]);
  while (statements.flat().length < all.length) {
    const before = statements.length;
    answerAll();
    await expect.poll(() => statements.length).toBeGreaterThan(before);
  }
  answerAll();
  await Promise.all(all);
  expect(statements.flat().filter((user) => user === 'mallory')).toHaveLength(6);
});
