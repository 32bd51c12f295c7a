import type pg from 'pg';

/** What a member finds at the GroupInfo of a conversation. */
export interface GroupInfoView {
  /** Set for former members: the last entry they may read. */
  readonly leftSeq: number | null;
  readonly epoch: number;
  /** Of the current epoch; null = nobody supplied one. */
  readonly groupInfo: Buffer | null;
}

/** The GroupInfo of the current epoch; `undefined` = the conversation does not exist for this user. */
export async function readGroupInfo(
  pool: pg.Pool,
  conversation: string,
  user: string,
): Promise<GroupInfoView | undefined> {
  const { rows } = await pool.query<GroupInfoView>({
    name: 'read-group-info',
    text: `select m.left_seq as "leftSeq", c.epoch, g.group_info as "groupInfo"
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select left_seq from member where conversation = c.key and user_id = $2 limit 1) m
      left join lateral (
        select group_info from group_info where conversation = c.key and epoch = c.epoch limit 1) g on true`,
    values: [conversation, user],
  });
  return rows[0];
}
