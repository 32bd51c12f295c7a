import type pg from 'pg';
import type { Draft, Submitter } from '../../../dispatch/submission.ts';
import { AppError } from '../../../domain/errors.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import type { Notifier } from '../../../store/log/notifications.ts';

/** A message as the plain transaction takes it. */
export interface PlainMessage {
  readonly conversation: string;
  readonly user: string;
  readonly id: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly epoch: number | undefined;
  readonly ciphertext: Uint8Array;
}

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
  readonly firstEpoch: number | null;
  readonly same: boolean | null;
}

const LOCK = `select key, epoch, last_seq as "lastSeq", app_count as "appCount", (policy ->> 'epochWindow')::int as window
  from conversation where id = $1 and deleted_at is null for update`;
const LOOK = `select exists (select from member where conversation = $1 and user_id = $2 and left_seq is null) as member,
    e.seq as "firstSeq", e.epoch as "firstEpoch", e.sha256 = $4 and e.sender = $2 as same
  from (values (1)) v left join entry e on e.conversation = $1 and e.message_id = $3`;
const INSERT = `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
  values ($1, $2, 'application', $3, $4, $5, $6, $7, $8, clock_timestamp())`;
const READ = 'update member set read_seq = $3, read_count = $4 where conversation = $1 and user_id = $2';
const MOVE = 'update conversation set last_seq = $2, app_count = $3, last_at = clock_timestamp() where key = $1';

/**
 * One transaction for one message, as a careful team writes it: lock the conversation's row, look at membership and earlier
 * use of the id, judge the epoch, insert, update. Statements are prepared; nothing is batched.
 */
export async function storeMessage(pool: pg.Pool, message: PlainMessage): Promise<Outcome> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const outcome = await decide(client, message);
    await client.query(outcome.status === 'accepted' ? 'commit' : 'rollback');
    client.release();
    return outcome;
  } catch (error) {
    // The connection may be in the middle of anything.
    client.release(true);
    throw error;
  }
}

async function decide(client: pg.PoolClient, message: PlainMessage): Promise<Outcome> {
  const { conversation, user, id, ciphertext } = message;
  const sha256 = Buffer.from(message.sha256, 'hex');
  const locked = await client.query<ConversationRow>({ name: 'plain-lock', text: LOCK, values: [conversation] });
  const [row] = locked.rows;
  if (row === undefined) return { status: 'refused', code: 'not-found' };
  const looked = await client.query<LookRow>({ name: 'plain-look', text: LOOK, values: [row.key, user, id, sha256] });
  const [look] = looked.rows;
  if (look?.member !== true) return { status: 'refused', code: 'not-found' };
  if (look.firstSeq !== null) {
    if (look.same !== true) return { status: 'refused', code: 'id-reused' };
    return { status: 'duplicate', seq: look.firstSeq, epoch: look.firstEpoch ?? 0 };
  }
  const epoch = message.epoch ?? row.epoch;
  const facts = { currentEpoch: row.epoch, submittedEpoch: epoch };
  if (epoch > row.epoch) return { status: 'refused', code: 'epoch-ahead', ...facts };
  if (epoch < row.epoch - row.window) return { status: 'refused', code: 'epoch-too-old', ...facts };

  const [seq, count] = [row.lastSeq + 1, row.appCount + 1];
  const entry = [row.key, seq, epoch, id, sha256, ciphertext, user, count];
  await client.query({ name: 'plain-insert', text: INSERT, values: entry });
  await client.query({ name: 'plain-read', text: READ, values: [row.key, user, seq, count] });
  await client.query({ name: 'plain-move', text: MOVE, values: [row.key, seq, count] });
  return { status: 'accepted', seq, epoch };
}

/** The message of a draft. The contenders can do nothing but send. */
export function plainMessage({ conversation, user, operation, bytes }: Draft): PlainMessage {
  if (operation.kind !== 'message' || bytes === undefined) throw new AppError('internal', 'Only messages are compared');
  const { id, sha256, epoch }: MessageOperation = operation;
  return { conversation, user, id, sha256, epoch, ciphertext: bytes.ciphertext };
}

/** Contender: plain SQL behind the same HTTP API. */
export function makePlainSqlSubmitter(pool: pg.Pool, notifier: Notifier): Submitter {
  return {
    submit: async (draft) => {
      const outcome = await storeMessage(pool, plainMessage(draft));
      if (outcome.status === 'accepted') notifier.entry(draft.conversation, outcome.seq ?? 0);
      return outcome;
    },
  };
}
