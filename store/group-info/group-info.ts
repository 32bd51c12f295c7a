import type pg from 'pg';

/** What a user finds at the GroupInfo of a conversation. */
export interface GroupInfoView {
  /** Set for former members who may not see it: the last entry they may read. */
  readonly leftSeq: number | null;
  readonly epoch: number;
  /** Of the current epoch; null = nobody supplied one. */
  readonly groupInfo: Buffer | null;
}

/**
 * The GroupInfo of the current epoch, for members; where anyone may join, also for those who never were members and for
 * those who left by themselves. `undefined` = the conversation does not exist for this user.
 */
export async function readGroupInfo(
  pool: pg.Pool,
  conversation: string,
  user: string,
): Promise<GroupInfoView | undefined> {
  const { rows } = await pool.query<GroupInfoView>({
    name: 'read-group-info',
    text: `select case when c.open and m.left_self then null else m.left_seq end as "leftSeq", c.epoch,
        g.group_info as "groupInfo"
      from (select *, policy ->> 'externalJoin' = 'anyone' as open from conversation
            where id = $1 and deleted_at is null limit 1) c
      left join lateral (
        select user_id, left_seq, left_self from member where conversation = c.key and user_id = $2 limit 1) m on true
      left join lateral (
        select group_info from group_info where conversation = c.key and epoch = c.epoch limit 1) g on true
      where m.user_id is not null or c.open`,
    values: [conversation, user],
  });
  return rows[0];
}

/** The GroupInfo of the current epoch, whoever may see it. */
export interface CurrentGroupInfo {
  /** Of the conversation. */
  readonly epoch: number;
  /** null = nobody supplied one for this epoch. */
  readonly groupInfo: Buffer | null;
}

/** The GroupInfo against which a commit is checked; `undefined` = there is no such conversation. */
export async function readCurrentGroupInfo(pool: pg.Pool, conversation: string): Promise<CurrentGroupInfo | undefined> {
  const { rows } = await pool.query<CurrentGroupInfo>({
    name: 'read-current-group-info',
    text: `select c.epoch, g.group_info as "groupInfo"
      from (select key, epoch from conversation where id = $1 and deleted_at is null limit 1) c
      left join lateral (
        select group_info from group_info where conversation = c.key and epoch = c.epoch limit 1) g on true`,
    values: [conversation],
  });
  return rows[0];
}
