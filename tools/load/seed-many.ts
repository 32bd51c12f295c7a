import type pg from 'pg';
import { MAX_MEMBERS_LIMIT } from '../../domain/limits.ts';
import { makePolicy } from '../../domain/policy.ts';
import { conversationId } from './seed.ts';

/** Many opaque conversations, in circles of users who share them. */
export interface Circles {
  /** Becomes part of the ids: conversation `n` has the id `manyId(name, n)`. */
  readonly name: string;
  readonly conversations: number;
  /** Conversations that the users of one circle share. @default 1 */
  readonly each?: number;
  readonly members: number;
  /** Number of the first user. @default 0 */
  readonly from?: number;
}

/** The id of a conversation of `seedMany`. */
export function manyId(name: string, number: number): string {
  return conversationId(`${name} ${number}`);
}

/** Numbers of the members of conversation `n`: the users of its circle. */
export function membersOf({ each = 1, members, from = 0 }: Circles, n: number): number[] {
  const first = from + Math.floor(n / each) * members;
  return Array.from({ length: members }, (_, j) => first + j);
}

/**
 * Writes the rows that the creating function of the service would write, with a few statements for all conversations: one call
 * each takes minutes for 100,000. A test compares the two.
 */
export async function seedMany(pool: pg.Pool, circles: Circles): Promise<void> {
  const { name, conversations, each = 1, members, from = 0 } = circles;
  const policy = makePolicy({ maxMembers: MAX_MEMBERS_LIMIT, groupInfo: 'optional' }, { epochWindow: 2 });
  await pool.query(
    `with made as (
       insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint, chain_base, base_epoch, chain,
                                 oldest_chain)
       select id, 'opaque', 0, $3::int, $6, 'user-' || ($4::bigint + n / $5::int * $3), h, 0, 0, origin, origin
       from generate_series(0, $2::bigint - 1) n, lateral (select sha256(convert_to($1 || ' ' || n, 'UTF8')) as h) s,
         lateral (select rtrim(translate(encode(substr(h, 1, 16), 'base64'), '+/', '-_'), '=') as id) i,
         lateral (select chain_origin(id, 'opaque', 0) as origin) o
       returning key, created_by, created_at
     ), joined as (
       insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, proven_at)
       select key, u, case when u = created_by then 'admin' else 'member' end, 0, 0, 0, 0,
              case when u = created_by then created_at end
       from made, generate_series(0, $3::int - 1) j, lateral (
         select 'user-' || (substr(created_by, 6)::bigint + j) as u) x
       returning conversation, user_id
     ), stays as (
       insert into period (conversation, user_id, from_seq) select conversation, user_id, 1 from joined
     )
     insert into change (conversation, seq, kind, data)
     select conversation, 0, 'added', jsonb_build_object('users', jsonb_agg(user_id order by user_id))
     from joined group by conversation`,
    [name, conversations, members, from, each, JSON.stringify(policy)],
  );
}
