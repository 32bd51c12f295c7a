import type pg from 'pg';

/**
 * Which of these conversations have a locked row: somebody decides there now, or holds the row for another reason. Waits for
 * none of them, and keeps no lock.
 * @param conversations ids
 */
export async function lockedConversations(pool: pg.Pool, conversations: readonly string[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'locked-conversations',
    text: `with free as (select id from conversation where id = any ($1) for no key update skip locked)
      select c.id from unnest($1::text[]) as asked (id)
      cross join lateral (select id from conversation where id = asked.id limit 1) c
      where not exists (select from free where free.id = c.id)`,
    values: [conversations],
  });
  return new Set(rows.map(({ id }) => id));
}
