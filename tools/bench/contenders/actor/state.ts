import type pg from 'pg';

/** What an actor keeps in memory. Nobody else may change the conversation while the actor lives. */
export interface ActorState {
  readonly key: number;
  readonly window: number;
  readonly members: ReadonlySet<string>;
  epoch: number;
  lastSeq: number;
  appCount: number;
}

interface Row extends Omit<ActorState, 'members'> {
  readonly members: readonly string[];
}

const LOAD = `select c.key, c.epoch, c.last_seq as "lastSeq", c.app_count as "appCount",
    (c.policy ->> 'epochWindow')::int as "window",
    array(select user_id from member where conversation = c.key and left_seq is null) as members
  from conversation c where c.id = $1 and c.deleted_at is null`;

/** Reads a conversation once, when its actor starts. `undefined` = there is none. */
export async function loadState(pool: pg.Pool, conversation: string): Promise<ActorState | undefined> {
  const { rows } = await pool.query<Row>({ name: 'actor-load', text: LOAD, values: [conversation] });
  const [row] = rows;
  return row === undefined ? undefined : { ...row, members: new Set(row.members) };
}
