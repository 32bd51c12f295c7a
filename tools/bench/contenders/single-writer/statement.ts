import pg from 'pg';
import type { PeerCommand, PeerOutcome } from '../command.ts';
import { entryKind } from '../plain-sql/transaction.ts';
import { answer, refusalOf } from '../verdict.ts';

interface Row {
  readonly epoch: number;
  readonly window: number;
  readonly member: boolean;
  readonly firstSeq: number | null;
  readonly firstEpoch: number;
  readonly firstAt: Date;
  readonly same: boolean;
  readonly seq: number | null;
  readonly entryEpoch: number;
  readonly at: Date;
}

/** Another writer was faster: see {@link storeAlone}. */
const UNIQUE_VIOLATION = '23505';
const ATTEMPTS = 3;

/** $1 conversation id, $2 user, $3 message id, $4 sha256, $5 epoch or null, $6 kind, $7 ciphertext */
function statement(kind: PeerCommand['kind']): string {
  const isOpen =
    kind === 'message' ? 'coalesce($5, epoch) between epoch - "window" and epoch' : 'coalesce($5, epoch) = epoch';
  const moves = kind === 'message' ? 'app_count = e.app_count' : 'epoch = c.epoch + 1, last_commit_seq = e.seq';
  const reads = `, r as (update member m set read_seq = e.seq, read_count = e.app_count from e
      where m.conversation = e.conversation and m.user_id = $2)`;
  return `
    with look as (
      select c.key, c.epoch, c.last_seq, c.app_count, (c.policy ->> 'epochWindow')::int as "window",
        exists (select from member where conversation = c.key and user_id = $2 and left_seq is null) as member,
        f.seq as "firstSeq", f.epoch as "firstEpoch", f.at as "firstAt",
        f.kind = $6 and f.sha256 = $4 and f.sender = $2 as same
      from conversation c left join entry f on f.conversation = c.key and f.message_id = $3
      where c.id = $1 and c.deleted_at is null),
    e as (
      insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
      select key, last_seq + 1, $6, coalesce($5, epoch), $3, $4, $7, $2, app_count + ${kind === 'message' ? 1 : 0},
        clock_timestamp()
      from look where member and "firstSeq" is null and ${isOpen}
      returning conversation, seq, epoch, app_count, at),
    m as (
      update conversation c set last_seq = e.seq, last_at = e.at, ${moves} from e where c.key = e.conversation)
    ${kind === 'message' ? reads : ''}
    select look.epoch, look."window", look.member, look."firstSeq", look."firstEpoch", look."firstAt", look.same,
      e.seq, e.epoch as "entryEpoch", e.at
    from look left join e on true`;
}

const TEXTS = { message: statement('message'), commit: statement('commit') } as const;

/**
 * The whole command in one statement, which is one round trip and one transaction. It takes no lock before it reads, so it
 * is right only when nobody else writes to the conversation: a queue, an object or an actor for each conversation promises
 * that. Where the promise breaks (two of them after a crash), the unique keys of the log refuse the second one, which then
 * looks again.
 */
export async function storeAlone(pool: pg.Pool, command: PeerCommand): Promise<PeerOutcome> {
  const { kind, conversation, user, id, sha256, epoch, ciphertext } = command;
  const values = [conversation, user, id, Buffer.from(sha256, 'hex'), epoch ?? null, entryKind(command), ciphertext];
  for (let attempt = 1; ; attempt++) {
    try {
      const { rows } = await pool.query<Row>({ name: `alone-${kind}`, text: TEXTS[kind], values });
      return outcomeOf(command, rows[0]);
    } catch (error) {
      const isTaken = error instanceof pg.DatabaseError && error.code === UNIQUE_VIOLATION;
      if (!isTaken || attempt === ATTEMPTS) throw error;
    }
  }
}

function outcomeOf(command: PeerCommand, row: Row | undefined): PeerOutcome {
  if (row === undefined) return { status: 'refused', code: 'not-found' };
  if (row.seq !== null) return answer(command, 'accepted', { seq: row.seq, epoch: row.entryEpoch, at: row.at });
  const { firstSeq, firstEpoch, firstAt, same } = row;
  const refusal = refusalOf(command, {
    epoch: row.epoch,
    window: row.window,
    isMember: row.member,
    ...(firstSeq === null ? {} : { earlier: { seq: firstSeq, epoch: firstEpoch, at: firstAt, isSame: same } }),
  });
  if (refusal === undefined) throw new Error('The statement stored nothing and refused nothing');
  return refusal;
}
