import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { readGroupInfo, readStoredGroupInfo } from '../../../store/group-info/group-info.ts';
import { seedConversation } from '../../../tools/attack/seed.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();
const KB = 1024;

test.each([1, 128 * KB - 1, 128 * KB, 128 * KB + 1, 1_000_000])(
  'a GroupInfo of %d bytes is read as it was stored, in rows that are decoded one after another',
  async (size) => {
    const { pool } = database();
    const groupInfo = randomBytes(size);
    const id = await seedConversation(pool, ['alice'], { protocol: 'mls', groupInfo });
    // The service computed a tree that is longer than the GroupInfo.
    const tree = randomBytes(size + 200_000);
    await pool.query(
      'update group_info set tree = $2 where conversation = (select key from conversation where id = $1)',
      [id, tree],
    );
    const read = await readGroupInfo(pool, id, 'alice');
    expect(read).toMatchObject({ epoch: 0, leftSeq: null });
    const stored = await readStoredGroupInfo(pool, id, 0);
    // `toEqual` compares a megabyte byte by byte, for many seconds.
    expect([read?.groupInfo, stored?.groupInfo].map((bytes) => bytes?.equals(groupInfo))).toEqual([true, true]);
    expect(stored?.tree?.equals(tree)).toBe(true);
  },
);

test('without a computed tree there is none, and without a GroupInfo the epoch is there', async () => {
  const { pool } = database();
  const withOne = await seedConversation(pool, ['alice'], { protocol: 'mls', groupInfo: randomBytes(300_000) });
  expect(await readStoredGroupInfo(pool, withOne, 0)).toMatchObject({ tree: null });
  const without = await seedConversation(pool, ['alice'], { protocol: 'mls' });
  expect(await readGroupInfo(pool, without, 'alice')).toEqual({ epoch: 0, groupInfo: null, leftSeq: null });
  expect(await readStoredGroupInfo(pool, without, 0)).toBeUndefined();
});

test('no row of a large GroupInfo has more than a slice of it', async () => {
  const { pool } = database();
  const id = await seedConversation(pool, ['alice'], { protocol: 'mls', groupInfo: randomBytes(1_000_000) });
  const sizes: number[] = [];
  const watched = Object.create(pool, {
    query: {
      value: async (query: object) => {
        const result = await pool.query<{ groupInfo: Buffer }>(query as { text: string });
        sizes.push(...result.rows.map((row) => row.groupInfo.length));
        return result;
      },
    },
  }) as typeof pool;
  await readGroupInfo(watched, id, 'alice');
  await readStoredGroupInfo(watched, id, 0);
  expect(sizes).toHaveLength(16);
  expect(Math.max(...sizes)).toBe(128 * KB);
});
