import type pg from 'pg';
import { deciderOf } from '../decision/decide.ts';
import { type Row, bytes, integer, object, onlyRow, orNull, text } from '../row.ts';

/** Leaves that the service wants removed from a group. */
export interface Removal {
  /** Id of the conversation. */
  readonly conversation: string;
  readonly user: string;
  /** '' = all leaves of the user. */
  readonly device: string;
}

/** A proposal of the service, as an MLSMessage (RFC 9420 §12.1.3). */
export interface RemovalProposal {
  /** Id of its entry. */
  readonly id: string;
  readonly sha256: Uint8Array;
  readonly bytes: Uint8Array;
}

/** A conversation changed: streams have something new. */
export interface RemovalNews {
  readonly lastSeq: number;
}

/** For so long a proposal waits for its turn at the lock of its conversation; its removal stays taken meanwhile. */
const LOCK_PATIENCE_MS = 1000;

/** Another process looks at the same removal only after this time, in seconds. */
const TAKEN_S = 5;

/** Takes removals that wait for proposals in the current epoch of their groups. */
export async function takeRemovals(pool: pg.Pool, limit: number): Promise<Removal[]> {
  const { rows } = await pool.query<Row>({
    name: 'take-removals',
    text: 'select conversation, user_id as user, device_id as device from take_removals($1, $2)',
    values: [limit, TAKEN_S],
  });
  return rows.map((row) => ({
    conversation: text(row, 'conversation'),
    user: text(row, 'user'),
    device: text(row, 'device'),
  }));
}

/** Names of the leaves of a device that should go: SHA-256 of their signature keys. */
export async function leavesToRemove(pool: pg.Pool, { conversation, user, device }: Removal): Promise<Buffer[]> {
  const { rows } = await pool.query<Row>({
    name: 'leaves-to-remove',
    text: `select p.leaf from (select key from conversation where id = $1 limit 1) c
      cross join lateral (
        select leaf from pending_removal where conversation = c.key and user_id = $2 and reason = 'off-boarding' and device_id = $3
          and leaf <> '') p`,
    values: [conversation, user, device],
  });
  return rows.map((row) => bytes(row, 'leaf'));
}

/**
 * Writes the proposals of an epoch, in a transaction of the conversation. Proposals of an ended epoch are not written.
 * @param proposals one for each leaf; none = members are told by the event `removal-wanted`
 * @returns `undefined` = nothing changed for streams
 * @throws ConversationLockedError, or an error of the database (`lock_not_available`), when a session holds the conversation
 */
export async function proposeRemoval(
  pool: pg.Pool,
  { conversation, user, device }: Removal,
  epoch: number,
  proposals: readonly RemovalProposal[],
): Promise<RemovalNews | undefined> {
  return deciderOf(pool).waitForLock(LOCK_PATIENCE_MS, async () => {
    const { rows } = await pool.query<Row>({
      name: 'propose-removal',
      text: 'select propose_removal($1, $2, $3, $4, $5, $6, $7) as news',
      values: [
        conversation,
        user,
        device,
        epoch,
        proposals.map(({ id }) => id),
        proposals.map(({ sha256 }) => sha256),
        proposals.map((proposal) => proposal.bytes),
      ],
    });
    return parseNews(onlyRow(rows, 'propose-removal'));
  });
}

/** @param row {news} */
export function parseNews(row: Row): RemovalNews | undefined {
  const news = orNull(object, row, 'news');
  return news === null ? undefined : { lastSeq: integer(news, 'lastSeq') };
}
