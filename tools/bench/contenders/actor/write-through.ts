import type pg from 'pg';
import type { PeerCommand } from '../command.ts';
import { entryKind } from '../plain-sql/transaction.ts';
import type { ActorState } from './state.ts';

const STORE = `
  with e as (
    insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp()) on conflict do nothing returning seq, at)
  update conversation c set last_seq = e.seq, last_at = e.at, app_count = $9, epoch = $10,
    last_commit_seq = case when $3 = 'commit' then e.seq else c.last_commit_seq end
  from e where c.key = $1 returning e.at`;
const EARLIER = `select seq, epoch, at, kind = $3 and sha256 = $4 and sender = $5 as "isSame"
  from entry where conversation = $1 and message_id = $2`;
const READ = `update member m set read_seq = r.seq, read_count = r.count
  from unnest($2::text[], $3::bigint[], $4::bigint[]) r (user_id, seq, count)
  where m.conversation = $1 and m.user_id = r.user_id`;

/** An entry that has the id of a command already. */
export interface Earlier {
  readonly seq: number;
  readonly epoch: number;
  readonly at: Date;
  readonly isSame: boolean;
}

/** A read position that is not in the database yet. */
export interface Position {
  readonly seq: number;
  readonly count: number;
}

/**
 * Stores the next entry by one statement, before anything is acknowledged.
 * @returns when it was stored; `undefined` = its id or its seq is taken
 */
export async function storeNext(pool: pg.Pool, state: ActorState, command: PeerCommand): Promise<Date | undefined> {
  const { kind, id, sha256, ciphertext, user } = command;
  const isMessage = kind === 'message';
  const { rows } = await pool.query<{ at: Date }>({
    name: 'actor-store',
    text: STORE,
    values: [
      state.key,
      state.lastSeq + 1,
      entryKind(command),
      command.epoch ?? state.epoch,
      id,
      Buffer.from(sha256, 'hex'),
      ciphertext,
      user,
      state.appCount + (isMessage ? 1 : 0),
      state.epoch + (isMessage ? 0 : 1),
    ],
  });
  return rows[0]?.at;
}

/** The entry with the id of the command. */
export async function findEarlier(pool: pg.Pool, key: number, command: PeerCommand): Promise<Earlier | undefined> {
  const { id, sha256, user } = command;
  const { rows } = await pool.query<Earlier>({
    name: 'actor-earlier',
    text: EARLIER,
    values: [key, id, entryKind(command), Buffer.from(sha256, 'hex'), user],
  });
  return rows[0];
}

/** Writes read positions by user. */
export async function storePositions(
  pool: pg.Pool,
  key: number,
  positions: ReadonlyMap<string, Position>,
): Promise<void> {
  const all = [...positions];
  await pool.query({
    name: 'actor-read',
    text: READ,
    values: [key, all.map(([user]) => user), all.map(([, { seq }]) => seq), all.map(([, { count }]) => count)],
  });
}
