import type pg from 'pg';
import type { DeviceName } from './key-packages.ts';

export interface WelcomeRow {
  readonly id: string;
  readonly conversation: string;
  readonly welcome: Buffer;
  /** Of the joining commit. */
  readonly seq: number;
  readonly epoch: number;
}

/**
 * Welcomes waiting for a device, by seq; each was stored in the transaction that accepted its commit. Those of `opaque`
 * conversations are for every device of the user.
 */
export async function listWelcomes(pool: pg.Pool, { user, device }: DeviceName): Promise<WelcomeRow[]> {
  const { rows } = await pool.query<WelcomeRow>({
    name: 'list-welcomes',
    text: `select w.id, c.id as conversation, b.welcome, w.seq, w.epoch
      from welcome w
      cross join lateral (select id, deleted_at from conversation where key = w.conversation limit 1) c
      cross join lateral (
        select welcome from welcome_body where conversation = w.conversation and seq = w.seq limit 1) b
      where w.user_id = $1 and w.device_id in ($2, '') and c.deleted_at is null order by w.seq, w.id limit 1000`,
    values: [user, device],
  });
  return rows;
}

/** Forgets a Welcome that its device has taken up, with the bytes when nobody else needs them; false = there is none. */
export async function acknowledgeWelcome(pool: pg.Pool, { user, device }: DeviceName, id: string): Promise<boolean> {
  const { rows } = await pool.query<{ acknowledged: boolean }>({
    name: 'acknowledge-welcome',
    text: 'select acknowledge_welcome($1, $2, $3) as acknowledged',
    values: [user, device, id],
  });
  return rows[0]?.acknowledged ?? false;
}

/** Bodies that one step of the sweep looks at. */
const SWEEP_STEP = 1000;

/** Where a walk through the bytes of all Welcomes stands. */
export interface WelcomeBodyPosition {
  /** Key of the conversation. */
  readonly conversation: number;
  readonly seq: number;
}

/**
 * Deletes bytes of Welcomes that nobody waits for any more: those of removed members, and of two last readers at once, who
 * leave them to each other. One step of a walk through every Welcome that is kept.
 * @returns bodies deleted, and where the next step goes on; `next` is absent at the end
 */
export async function sweepWelcomeBodies(
  pool: pg.Pool,
  after: WelcomeBodyPosition = { conversation: 0, seq: 0 },
): Promise<{ readonly deleted: number; readonly next?: WelcomeBodyPosition }> {
  const { rows } = await pool.query<{ conversation: number | null; seq: number | null; deleted: number }>({
    name: 'sweep-welcome-bodies',
    text: 'select * from sweep_welcome_bodies($1, $2, $3)',
    values: [after.conversation, after.seq, SWEEP_STEP],
  });
  const { conversation = null, seq = null, deleted = 0 } = rows[0] ?? {};
  return { deleted, ...(conversation === null || seq === null ? {} : { next: { conversation, seq } }) };
}
