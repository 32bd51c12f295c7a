import type pg from 'pg';
import { MAX_PAGE, MAX_PAGE_BYTES } from '../../domain/limits.ts';
import { type Found, withinBytes } from '../log/entries.ts';
import type { DeviceName } from '../key-package/key-packages.ts';

export interface WelcomeRow {
  readonly id: string;
  readonly conversation: string;
  readonly welcome: Buffer;
  /** Of the joining commit. */
  readonly seq: number;
  readonly epoch: number;
}

/** A page of Welcomes. */
export interface WelcomePage {
  readonly welcomes: readonly WelcomeRow[];
  /** Id to go on after; absent at the end. */
  readonly next?: string;
}

/**
 * Welcomes waiting for a device, by id, which is the order of their making; each was stored in the transaction that
 * accepted its commit. Those of `opaque` conversations are for every device of the user.
 * @param after id to go on after
 * @param limit at most this many, and no more bytes than a page may have
 */
export async function listWelcomes(
  pool: pg.Pool,
  { user, device }: DeviceName,
  after?: string,
  limit = MAX_PAGE,
): Promise<WelcomePage> {
  const { rows } = await pool.query<Omit<WelcomeRow, 'welcome'> & { readonly welcome: Buffer | null } & Found>({
    name: 'list-welcomes',
    // As text: the planner may else walk through all Welcomes in the order of their ids.
    text: `${withinBytes(
      `select w.id, w.conversation, b.welcome, w.seq, w.epoch
      from (select w.id, c.id as conversation, w.conversation as key, w.seq, w.epoch
            from welcome w
            cross join lateral (select id, deleted_at from conversation where key = w.conversation limit 1) c
            where w.user_id = $1 and w.device_id in ($2, '') and c.deleted_at is null
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
  const next = last === undefined || page.length === last.found ? {} : { next: last.id };
  const welcomes = page.flatMap(({ id, conversation, welcome, seq, epoch }) =>
    welcome === null ? [] : [{ id, conversation, welcome, seq, epoch }],
  );
  return { welcomes, ...next };
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
