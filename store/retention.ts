import type pg from 'pg';

/**
 * Takes bodies past the policy's age from at most `limit` application entries. Rows, seq and counts stay.
 * @param now the workflow's clock, in milliseconds since 1970
 * @returns when there is work again, in milliseconds since 1970; `undefined` = never
 */
export async function expireBodies(
  pool: pg.Pool,
  conversation: string,
  now: number,
  limit: number,
): Promise<number | undefined> {
  const { rows } = await pool.query<{ due: Date | null }>({
    name: 'expire-bodies',
    text: 'select expire_bodies($1, $2, $3) as due',
    values: [conversation, new Date(now), limit],
  });
  return rows[0]?.due?.getTime();
}

/** Removes up to `limit` entries of a deleted conversation; true when nothing of it is left but its tombstone. */
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

/** Ages after which the sweep forgets things; milliseconds. */
export interface SweepAges {
  /** Staged rows; above the longest `notAfter` of any operation. */
  readonly stagedMs: number;
  /** Stored answers of operations without an entry; increments of old histories may be applied again until then. */
  readonly operationsMs: number;
  readonly idempotencyMs: number;
}

/** Deletes orphans and what is past its age. @returns rows deleted, by table */
export async function sweep(pool: pg.Pool, ages: SweepAges): Promise<Record<string, number>> {
  const before = (ageMs: number): Date => new Date(Date.now() - ageMs);
  const orphaned = await pool.query<{ conversation: number }>(
    'select distinct conversation from staged where at < $1 limit 1000',
    [before(ages.stagedMs)],
  );
  let staged = 0;
  for (const { conversation } of orphaned.rows) {
    const { rows } = await pool.query<{ count: number }>('select sweep_staged($1, $2) as count', [
      conversation,
      before(ages.stagedMs),
    ]);
    staged += rows[0]?.count ?? 0;
  }
  const operations = await pool.query(
    `delete from operation where (conversation, id) in (select conversation, id from operation where at < $1 limit 10000)`,
    [before(ages.operationsMs)],
  );
  const idempotency = await pool.query(
    `delete from idempotency where scope in (select scope from idempotency where at < $1 limit 10000)`,
    [before(ages.idempotencyMs)],
  );
  return { staged, operations: operations.rowCount ?? 0, idempotency: idempotency.rowCount ?? 0 };
}
