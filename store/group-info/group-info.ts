import type pg from 'pg';
import { type Row, bytes, integer, orNull } from '../row.ts';

/** The GroupInfo of the current epoch (RFC 9420 §12.4.3). */
export interface CurrentGroupInfo {
  /** Current epoch of the conversation. */
  readonly epoch: number;
  /** null = no member supplied one for this epoch. */
  readonly groupInfo: Buffer | null;
}

function parseCurrent(row: Row): CurrentGroupInfo {
  return { epoch: integer(row, 'epoch'), groupInfo: orNull(bytes, row, 'groupInfo') };
}

/** The GroupInfo as one user may see it. */
export interface GroupInfoView extends CurrentGroupInfo {
  /** Set for a former member who may not see the GroupInfo: the last entry it may read. */
  readonly leftSeq: number | null;
}

/**
 * The GroupInfo of the current epoch, for members. Where anyone may join, also for users who never were members, and for
 * users who left by themselves, unless they are barred.
 * @returns `undefined` when the conversation does not exist for this user
 */
export async function readGroupInfo(
  pool: pg.Pool,
  conversation: string,
  user: string,
): Promise<GroupInfoView | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-group-info',
    text: `select case when c.open and m.left_self then null else m.left_seq end as "leftSeq", c.epoch,
        g.group_info as "groupInfo"
      from (select *, policy ->> 'externalJoin' = 'anyone' and not is_barred(key, $2) as open from conversation
            where id = $1 and deleted_at is null limit 1) c
      left join lateral (
        select user_id, left_seq, left_self from member where conversation = c.key and user_id = $2 limit 1) m on true
      left join lateral (
        select group_info from group_info where conversation = c.key and epoch = c.epoch limit 1) g on true
      where m.user_id is not null or c.open`,
    values: [conversation, user],
  });
  const [row] = rows;
  return row === undefined ? undefined : { leftSeq: orNull(integer, row, 'leftSeq'), ...parseCurrent(row) };
}

/** The GroupInfo that a commit is checked against. @returns `undefined` when there is no such conversation */
export async function readCurrentGroupInfo(pool: pg.Pool, conversation: string): Promise<CurrentGroupInfo | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-current-group-info',
    text: `select c.epoch, g.group_info as "groupInfo"
      from (select key, epoch from conversation where id = $1 and deleted_at is null limit 1) c
      left join lateral (
        select group_info from group_info where conversation = c.key and epoch = c.epoch limit 1) g on true`,
    values: [conversation],
  });
  const [row] = rows;
  return row === undefined ? undefined : parseCurrent(row);
}
