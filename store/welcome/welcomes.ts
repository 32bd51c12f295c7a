import type pg from 'pg';
import { MAX_PAGE, MAX_PAGE_BYTES } from '../../domain/limits.ts';
import type { DeviceName } from '../key-package/key-packages.ts';
import { type Row, bytes, flag, integer, onlyRow, orNull, text } from '../row.ts';
import { withinBytes } from '../sql-fragments.ts';

/** A Welcome that waits for a device. */
export interface Welcome {
  /** UUID. */
  readonly id: string;
  readonly conversation: string;
  /** The MLSMessage with the Welcome (RFC 9420 §12.4.3.1), or the bytes of an opaque conversation. */
  readonly welcome: Buffer;
  /** Seq of the joining commit. */
  readonly seq: number;
  /** Epoch after the joining commit. */
  readonly epoch: number;
}

/** @param row {id, conversation, welcome, seq, epoch} */
export function parseWelcome(row: Row): Welcome {
  return {
    id: text(row, 'id'),
    conversation: text(row, 'conversation'),
    welcome: bytes(row, 'welcome'),
    seq: integer(row, 'seq'),
    epoch: integer(row, 'epoch'),
  };
}

/** A page of Welcomes. */
export interface WelcomePage {
  readonly welcomes: readonly Welcome[];
  /** Id after which the next page starts; absent at the end. */
  readonly next?: string;
}

/**
 * Welcomes that wait for a device, by id: the order in which they were made. Each was stored in the transaction that
 * accepted its commit. Welcomes of `opaque` conversations are for all devices of the user.
 * @param after id after which the page starts
 * @param limit Welcomes of the page; it also ends after `MAX_PAGE_BYTES` bytes, but has at least one Welcome
 */
export async function listWelcomes(
  pool: pg.Pool,
  { user, device }: DeviceName,
  after?: string,
  limit = MAX_PAGE,
): Promise<WelcomePage> {
  const { rows } = await pool.query<Row>({
    name: 'list-welcomes',
    // Ids as text: otherwise the planner may walk through the Welcomes of all users in the order of their ids.
    text: `${withinBytes(
      `select w.id, w.conversation, b.welcome, w.seq, w.epoch
      from (select w.id, c.id as conversation, w.conversation as key, w.seq, w.epoch
            from (select * from welcome where user_id = $1 offset 0) w
            cross join lateral (select id, deleted_at from conversation where key = w.conversation limit 1) c
            where w.device_id in ($2, '') and w.expires_at > clock_timestamp() and c.deleted_at is null
              and ($3::text is null or w.id::text > $3)
            order by w.id::text limit $4::int + 1) w
      left join lateral (
        select welcome from welcome_body where conversation = w.key and seq = w.seq limit 1) b on true`,
      '$5',
      { bytes: 'welcome', by: 'id' },
    )} order by x.id`,
    values: [user, device, after ?? null, limit, MAX_PAGE_BYTES],
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next = last === undefined || page.length === integer(last, 'found') ? {} : { next: text(last, 'id') };
  // The bytes may be gone already, when a sweep ran at the same time.
  const welcomes = page.filter((row) => row.welcome !== null).map(parseWelcome);
  return { welcomes, ...next };
}

/**
 * Forgets a Welcome that its device has used. The bytes go too when no other device needs them.
 * @returns false when there is no such Welcome
 */
export async function acknowledgeWelcome(pool: pg.Pool, { user, device }: DeviceName, id: string): Promise<boolean> {
  const { rows } = await pool.query<Row>({
    name: 'acknowledge-welcome',
    text: 'select acknowledge_welcome($1, $2, $3) as acknowledged',
    values: [user, device, id],
  });
  return flag(onlyRow(rows, 'acknowledge-welcome'), 'acknowledged');
}

/** Welcome bodies of one step of the sweep. */
const SWEEP_STEP = 1000;

/** Conversations of one run. */
const WAKE_LIMIT = 1000;

/**
 * Makes the timers of conversations due of which Welcomes lost their place in an inbox.
 * @returns number of conversations
 */
export async function wakeEvictedWelcomes(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<Row>({
    name: 'wake-evicted-welcomes',
    text: 'select wake_evicted_welcomes($1) as woken',
    values: [WAKE_LIMIT],
  });
  return integer(onlyRow(rows, 'wake-evicted-welcomes'), 'woken');
}

/** How far a walk through all Welcome bodies has come. */
export interface WelcomeBodyPosition {
  /** Internal key of the conversation. */
  readonly conversation: number;
  readonly seq: number;
}

/**
 * Deletes Welcome bodies that no device waits for. They remain when a member is removed, and when the last two devices
 * acknowledge at the same time: each sees the other as still waiting. One step of a walk through all Welcome bodies.
 * @returns number of deleted bodies, and the start of the next step; `next` is absent at the end
 */
export async function sweepWelcomeBodies(
  pool: pg.Pool,
  after: WelcomeBodyPosition = { conversation: 0, seq: 0 },
): Promise<{ readonly deleted: number; readonly next?: WelcomeBodyPosition }> {
  const { rows } = await pool.query<Row>({
    name: 'sweep-welcome-bodies',
    text: 'select * from sweep_welcome_bodies($1, $2, $3)',
    values: [after.conversation, after.seq, SWEEP_STEP],
  });
  const row = onlyRow(rows, 'sweep-welcome-bodies');
  const deleted = integer(row, 'deleted');
  const conversation = orNull(integer, row, 'conversation');
  return conversation === null ? { deleted } : { deleted, next: { conversation, seq: integer(row, 'seq') } };
}
