import type pg from 'pg';

/**
 * One bounded step of the conversation's timer: takes bodies, entries and Welcomes that are past their time.
 * docs/explanation/retention.md has the rule. When to call again stands in the facts as `dueAt`.
 * @param now the workflow's clock, in milliseconds since 1970
 * @param limit entries that it touches at most while it holds the conversation's lock
 * @returns whether streams have something new to look for; `undefined` = there is no such conversation (any more)
 */
export async function retain(
  pool: pg.Pool,
  conversation: string,
  now: number,
  limit: number,
): Promise<{ readonly changed: boolean } | undefined> {
  const { rows } = await pool.query<{ step: { changed: boolean } | null }>({
    name: 'retain',
    text: 'select retain($1, $2, $3) as step',
    values: [conversation, new Date(now), limit],
  });
  return rows[0]?.step ?? undefined;
}

/** Removes up to `limit` rows of each table of a deleted conversation; true when nothing of it is left but its tombstone. */
export async function purgeDeleted(pool: pg.Pool, conversation: string, limit: number): Promise<boolean> {
  const { rows } = await pool.query<{ done: boolean }>({
    name: 'purge-deleted',
    text: 'select purge_deleted($1, $2) as done',
    values: [conversation, limit],
  });
  return rows[0]?.done ?? true;
}

/** Conversations whose timer has work at `now`, the longest waiting first. */
export async function listDue(pool: pg.Pool, now: number, limit: number): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'list-due',
    text: 'select id from conversation where due_at <= $1 order by due_at limit $2',
    values: [new Date(now), limit],
  });
  return rows.map((row) => row.id);
}
