import type pg from 'pg';
import type { Original } from './original.ts';
import { isCarried } from './read-conversation.ts';

/** A row of `messages`. */
export interface OriginalMessage {
  readonly rowId: string;
  /** The client's id. Null where there is none, or where an earlier row has the same. */
  readonly messageId: string | null;
  readonly isCommit: boolean;
  readonly epoch: number;
  readonly createdAt: Date;
  /** An earlier row has the same client id. */
  readonly isRepeated: boolean;
  /** Null: the original does not store it any more. */
  readonly sender: string | null;
  /** Empty without bodies. */
  readonly bytes: Buffer;
  readonly size: number;
}

/** Bytes of bodies that one step may hold, as far as the sizes of the step before it tell. */
const STEP_BYTES = 8 * 1024 * 1024;
const FIRST_STEP = 20;
const MOST_STEP = 1000;

/**
 * The messages of a conversation, in steps of bounded size, within the snapshot of `client`. Their order is that of their seq. Rows
 * without one (commits of early versions) and rows that share one stand by their time.
 * @param withBodies false: only their sizes are read
 */
export async function* readMessages(
  original: Original,
  client: pg.PoolClient,
  conversation: string,
  withBodies: boolean,
): AsyncGenerator<readonly OriginalMessage[]> {
  const { column } = original;
  const seq = column('messages', 'seq', '0');
  // A cursor: the server sorts, and this process holds one step.
  await client.query(
    `declare message_of_import no scroll cursor for
     select id::text as "rowId", case when copy = 1 then message_id end as "messageId",
       copy > 1 as "isRepeated", is_commit as "isCommit", epoch,
       created_at as "createdAt", nullif(sender, 'system') as sender, octet_length(ciphertext)::float8 as size,
       ${withBodies ? 'ciphertext' : `''::bytea`} as bytes
     from (
       select id, ${column('messages', 'msg_id', 'null::text')} as message_id, message_type = 'commit' as is_commit,
         epoch::float8 as epoch, created_at, ${column('messages', 'sender_did', 'null::text')} as sender, ciphertext,
         ${seq}::bigint as seq,
         case when ${seq} > 0 then ${seq} else coalesce(max(nullif(${seq}, 0)) over (order by created_at, id), 0) end as place,
         row_number() over (partition by coalesce(${column('messages', 'msg_id', 'null')}, id::text) order by created_at, id) as copy
       from messages where convo_id = $1 and ${isCarried(original)}) m
     order by place, seq = 0, created_at, id`,
    [conversation],
  );
  try {
    for (let step = FIRST_STEP; ;) {
      const { rows } = await client.query<OriginalMessage>(`fetch forward ${step} from message_of_import`);
      if (rows.length > 0) yield rows;
      if (rows.length < step) return;
      const largest = Math.max(1, ...rows.map(({ size }) => size));
      step = Math.max(1, Math.min(MOST_STEP, Math.floor(STEP_BYTES / largest)));
    }
  } finally {
    await client.query('close message_of_import').catch(() => undefined);
  }
}
