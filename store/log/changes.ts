import type pg from 'pg';

/** What happened to a conversation beside its entries, as the deciding transaction wrote it down. */
export type Change =
  | { readonly kind: 'added' | 'removed'; readonly data: { readonly users: readonly string[] } }
  | { readonly kind: 'role'; readonly data: { readonly user: string; readonly role: 'admin' | 'member' } }
  | { readonly kind: 'policy'; readonly data: { readonly policy: Readonly<Record<string, unknown>> } }
  | { readonly kind: 'welcome-expired'; readonly data: { readonly user: string; readonly device: string } }
  | { readonly kind: 'reset-open'; readonly data: Readonly<Record<string, never>> }
  | { readonly kind: 'superseded'; readonly data: { readonly successor: string } };

/** A change at its place: after entry `seq`, and after the changes of that seq with a lower `key`. */
export type ChangeRow = Change & { readonly seq: number; readonly key: number };

/** Users who were added to a conversation. */
export interface Addition {
  readonly key: number;
  readonly conversation: string;
  readonly users: readonly string[];
}

/** A change may become visible as much later than its time as its transaction lasted. */
const LATE_S = 15;
/** Additions of one read; when there are as many, there may be more. */
export const MAX_ADDITIONS = 1000;
/** Entries of two full batches: notifications of one conversation that gather tell only the last seq. */
const LOOK_BACK = 512;

/**
 * Additions of late to any conversation, the oldest first.
 * @param sinceS seconds since all additions of that time were read
 * @param seen keys to leave out
 */
export async function readAdditions(pool: pg.Pool, sinceS: number, seen: readonly number[]): Promise<Addition[]> {
  const { rows } = await pool.query<Addition>({
    name: 'read-additions',
    text: `select x.key, c.id as conversation, x.data -> 'users' as users
      from change x
      cross join lateral (select id, deleted_at from conversation where key = x.conversation limit 1) c
      where x.kind = 'added' and x.at > statement_timestamp() - make_interval(secs => $2) and x.key <> all($1)
        and c.deleted_at is null
      order by x.at limit $3`,
    values: [seen, sinceS + LATE_S, MAX_ADDITIONS],
  });
  return rows;
}

/** Additions to one conversation around its entry `seq`. */
export async function readAdditionsTo(pool: pg.Pool, conversation: string, seq: number): Promise<Addition[]> {
  const { rows } = await pool.query<Addition>({
    name: 'read-additions-to',
    text: `select x.key, c.id as conversation, x.data -> 'users' as users
      from (select id, key from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (
        -- offset 0 keeps it from the index on additions of all conversations.
        select key, data from (select * from change where conversation = c.key and seq >= $2 offset 0) y
        where kind = 'added' order by seq, key limit $3) x`,
    values: [conversation, Math.max(0, seq - LOOK_BACK), MAX_ADDITIONS],
  });
  return rows;
}
