import type pg from 'pg';
import { type Row, bytes, integer, oneOf, text } from '../row.ts';

/** A current member of a conversation. */
export interface Member {
  readonly user: string;
  readonly role: 'admin' | 'member';
  /** Seq of the joining commit; 0 = member since the creation. */
  readonly joinedSeq: number;
  /** Epoch after the joining commit. */
  readonly joinedEpoch: number;
}

/** Current members, by user id. @param after user id after which the list starts; '' = from the first */
export async function listMembers(pool: pg.Pool, id: string, after: string, limit: number): Promise<Member[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-members',
    text: `select m.user_id as user, m.role, m.joined_seq as "joinedSeq", m.joined_epoch as "joinedEpoch"
      from (select key from conversation where id = $1 and deleted_at is null limit 1) c
      join member m on m.conversation = c.key
      where m.user_id > $2 and m.left_seq is null order by m.user_id limit $3`,
    values: [id, after, limit],
  });
  return rows.map((row) => ({
    user: text(row, 'user'),
    role: oneOf(row, 'role', ['admin', 'member']),
    joinedSeq: integer(row, 'joinedSeq'),
    joinedEpoch: integer(row, 'joinedEpoch'),
  }));
}

/** Users who left by themselves, and whom no commit has removed from the group yet. */
export async function listPendingRemovals(pool: pg.Pool, id: string): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-pending-removals',
    text: `select m.user_id as user from (select key from conversation where id = $1 and deleted_at is null limit 1) c
      join member m on m.conversation = c.key
      where m.leaving order by m.user_id`,
    values: [id],
  });
  return rows.map((row) => text(row, 'user'));
}

/** A single leaf that should go. */
export interface PendingLeaf {
  readonly user: string;
  /** SHA-256 of the signature key of the leaf. */
  readonly leaf: Buffer;
}

/** Single leaves that should go, and that no commit has removed yet: of devices that joined again, or were taken out. */
export async function listPendingLeaves(pool: pg.Pool, id: string): Promise<PendingLeaf[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-pending-leaves',
    text: `select distinct p.user_id as user, p.leaf
      from (select key from conversation where id = $1 and deleted_at is null limit 1) c
      join pending_removal p on p.conversation = c.key
      where p.leaf <> '' order by 1, 2`,
    values: [id],
  });
  return rows.map((row) => ({ user: text(row, 'user'), leaf: bytes(row, 'leaf') }));
}
