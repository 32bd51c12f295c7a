import type pg from 'pg';
import type { PeerCommand, PeerOutcome } from '../command.ts';
import { answer, refusalOf } from '../verdict.ts';

interface ConversationRow {
  readonly key: number;
  readonly epoch: number;
  readonly lastSeq: number;
  readonly appCount: number;
  readonly window: number;
}

interface LookRow {
  readonly member: boolean;
  readonly firstSeq: number | null;
  readonly firstEpoch: number;
  readonly firstAt: Date;
  readonly same: boolean;
}

const LOCK = `select key, epoch, last_seq as "lastSeq", app_count as "appCount", (policy ->> 'epochWindow')::int as window
  from conversation where id = $1 and deleted_at is null for update`;
const LOOK = `select exists (select from member where conversation = $1 and user_id = $2 and left_seq is null) as member,
    e.seq as "firstSeq", e.epoch as "firstEpoch", e.at as "firstAt", e.kind = $5 and e.sha256 = $4 and e.sender = $2 as same
  from (values (1)) v left join entry e on e.conversation = $1 and e.message_id = $3`;
const INSERT = `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp()) returning at`;
const READ = 'update member set read_seq = $3, read_count = $4 where conversation = $1 and user_id = $2';
const MOVE = 'update conversation set last_seq = $2, app_count = $3, last_at = clock_timestamp() where key = $1';
const END = `update conversation set last_seq = $2, last_commit_seq = $2, epoch = epoch + 1, last_at = clock_timestamp()
  where key = $1`;

/**
 * One transaction for one command, as a careful team would write it: lock the row of the conversation, check membership and
 * earlier use of the id, check the epoch, insert, update. Statements are prepared. Nothing is batched.
 */
export async function storeInTransaction(pool: pg.Pool, command: PeerCommand): Promise<PeerOutcome> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const outcome = await decide(client, command);
    await client.query(outcome.status === 'accepted' ? 'commit' : 'rollback');
    client.release();
    return outcome;
  } catch (error) {
    // The connection may be in an unknown state, so it is closed.
    client.release(true);
    throw error;
  }
}

async function decide(client: pg.PoolClient, command: PeerCommand): Promise<PeerOutcome> {
  const { kind, conversation, user, id, ciphertext } = command;
  const sha256 = Buffer.from(command.sha256, 'hex');
  const locked = await client.query<ConversationRow>({ name: 'plain-lock', text: LOCK, values: [conversation] });
  const [row] = locked.rows;
  if (row === undefined) return { status: 'refused', code: 'not-found' };
  const wanted = [row.key, user, id, sha256, entryKind(command)];
  const looked = await client.query<LookRow>({ name: 'plain-look', text: LOOK, values: wanted });
  const [look] = looked.rows;
  const refusal = refusalOf(command, {
    ...row,
    isMember: look?.member === true,
    ...(look === undefined || look.firstSeq === null
      ? {}
      : { earlier: { seq: look.firstSeq, epoch: look.firstEpoch, at: look.firstAt, isSame: look.same } }),
  });
  if (refusal !== undefined) return refusal;

  const epoch = command.epoch ?? row.epoch;
  const [seq, count] = [row.lastSeq + 1, row.appCount + (kind === 'message' ? 1 : 0)];
  const entry = [row.key, seq, entryKind(command), epoch, id, sha256, ciphertext, user, count];
  const inserted = await client.query<{ at: Date }>({ name: 'plain-insert', text: INSERT, values: entry });
  if (kind === 'message') {
    await client.query({ name: 'plain-read', text: READ, values: [row.key, user, seq, count] });
    await client.query({ name: 'plain-move', text: MOVE, values: [row.key, seq, count] });
  } else {
    await client.query({ name: 'plain-end', text: END, values: [row.key, seq] });
  }
  return answer(command, 'accepted', { seq, epoch, at: inserted.rows[0]?.at ?? new Date(0) });
}

/** The kind of the entry in the log. */
export function entryKind({ kind }: PeerCommand): 'application' | 'commit' {
  return kind === 'message' ? 'application' : 'commit';
}
