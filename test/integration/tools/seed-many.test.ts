import { expect, test } from 'vitest';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { createConversation } from '../../../store/conversation/conversations.ts';
import { listConversations } from '../../../store/conversation/lists.ts';
import { MAX_MEMBERS_LIMIT } from '../../../domain/limits.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { manyId, membersOf, seedMany } from '../../../tools/load/seed-many.ts';
import { userName } from '../../../tools/load/tokens.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();
const CIRCLES = { name: 'seed', conversations: 6, each: 3, members: 4, from: 10 };

/** Rows of a conversation, without its own key, its times, what only the service knows, and the chain, which begins with the id. */
async function rowsOf(id: string): Promise<unknown[]> {
  const { rows } = await database().pool.query<{ table: string; row: unknown }>(
    `with c as (select * from conversation where id = $1)
     select 'conversation' as "table", to_jsonb(c) - '{key,id,fingerprint,created_at,last_at,chain,oldest_chain,changed_xid}'::text[] as row from c
     union all select 'member', to_jsonb(m) - '{conversation,proven_at,changed_xid}'::text[] || jsonb_build_object('proven', m.proven_at = c.created_at)
       from member m join c on m.conversation = c.key
     union all select 'period', to_jsonb(p) - 'conversation' from period p join c on p.conversation = c.key
     union all select 'change', to_jsonb(x) - '{conversation,key,at}'::text[] from change x join c on x.conversation = c.key
     order by 1, 2`,
    [id],
  );
  return rows;
}

test('seeded conversations have the rows that the service writes for created ones', async () => {
  const { pool } = database();
  await seedMany(pool, CIRCLES);
  for (let n = 0; n < CIRCLES.conversations; n++) {
    const members = membersOf(CIRCLES, n).map(userName);
    const id = `created-${n}-0123456789`;
    await createConversation(pool, {
      id,
      protocol: 'opaque',
      epoch: 0,
      creator: members[0] ?? '',
      members,
      policy: makePolicy({ maxMembers: MAX_MEMBERS_LIMIT, groupInfo: 'optional' }, { epochWindow: 2 }),
      fingerprint: Buffer.alloc(32),
    });
    expect(await rowsOf(manyId(CIRCLES.name, n))).toEqual(await rowsOf(id));
    await checkInvariants(pool, manyId(CIRCLES.name, n));
  }
});

test('the users of a circle share its conversations', async () => {
  const listed = await listConversations(database().pool, userName(14), '', 100);
  const seeded = new Set([3, 4, 5].map((n) => manyId(CIRCLES.name, n)));
  expect(listed.filter(({ id }) => seeded.has(id))).toHaveLength(3);
});
