import type pg from 'pg';
import { MAX_PUSH_TARGETS } from '../../domain/limits.ts';
import type { PushTarget } from '../../domain/push.ts';
import type { DeviceName } from '../key-package/key-packages.ts';
import { type Row, flag, oneOf, onlyRow, orNull, text, texts, time } from '../row.ts';

/**
 * The device has acknowledged something: it is awake, and may be woken again. A part of statements; `$1` = user, `$2` = device, and
 * further conditions may follow. Entries that came while it was woken have woken nobody, so they are looked at soon.
 */
export const ACKNOWLEDGE_WAKE = `update push_target
  set woken = false, due_at = null, attempts = 0, check_at = clock_timestamp() + push_hold()
  where user_id = $1 and device_id = $2 and woken`;

/** A device says by something other than its positions that it is awake. */
export async function acknowledgeWake(pool: pg.Pool, { user, device }: DeviceName): Promise<void> {
  await pool.query({ name: 'acknowledge-wake', text: ACKNOWLEDGE_WAKE, values: [user, device] });
}

/** What a device has registered. */
export interface Registration {
  readonly device: string;
  readonly target: PushTarget;
  readonly registeredAt: Date;
  /** It was woken and has acknowledged nothing since. */
  readonly woken: boolean;
}

/** Stores the target of a device, in place of the one before. The device counts as awake. @returns when */
export async function registerPush(pool: pg.Pool, { user, device }: DeviceName, target: PushTarget): Promise<Date> {
  const [endpoint, p256dh, auth, app] =
    target.kind === 'web-push'
      ? [target.endpoint, target.keys.p256dh, target.keys.auth, null]
      : [target.token, null, null, target.app ?? null];
  const { rows } = await pool.query<Row>({
    name: 'register-push',
    text: 'select register_push_target($1, $2, $3, $4, $5, $6, $7) as at',
    values: [user, device, target.kind, endpoint, p256dh, auth, app],
  });
  return time(onlyRow(rows, 'register-push'), 'at');
}

/** Targets of a user. @param device of this device only */
export async function readRegistrations(pool: pg.Pool, user: string, device?: string): Promise<Registration[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-push-targets',
    text: `select device_id as device, kind, endpoint, p256dh, auth, app, registered_at as "registeredAt", woken
      from push_target where user_id = $1 and ($2::text is null or device_id = $2) order by device_id limit $3`,
    values: [user, device ?? null, MAX_PUSH_TARGETS],
  });
  return rows.map((row) => ({
    device: text(row, 'device'),
    target: parseTarget(row),
    registeredAt: time(row, 'registeredAt'),
    woken: flag(row, 'woken'),
  }));
}

/** Parses the columns kind, endpoint, p256dh, auth and app. */
export function parseTarget(row: Row): PushTarget {
  if (oneOf(row, 'kind', ['web-push', 'gateway']) === 'web-push') {
    const keys = { p256dh: text(row, 'p256dh'), auth: text(row, 'auth') };
    return { kind: 'web-push', endpoint: text(row, 'endpoint'), keys };
  }
  const app = orNull(text, row, 'app');
  return { kind: 'gateway', token: text(row, 'endpoint'), ...(app === null ? {} : { app }) };
}

/** Forgets the target of a device. What it muted stays. */
export async function unregisterPush(pool: pg.Pool, { user, device }: DeviceName): Promise<void> {
  await pool.query({
    name: 'unregister-push',
    text: 'delete from push_target where user_id = $1 and device_id = $2',
    values: [user, device],
  });
}

/**
 * Replaces the conversations that a device is not woken for. Those that its user is no member of are left out.
 * @returns ids of those that it mutes now
 */
export async function mutePush(
  pool: pg.Pool,
  { user, device }: DeviceName,
  conversations: readonly string[],
): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'mute-push',
    text: `with wanted as materialized (
        select c.id, c.key from (select distinct id from unnest($3::text[]) g (id)) g
        cross join lateral (select id, key from conversation where id = g.id and deleted_at is null limit 1) c
        cross join lateral (
          select true from member where conversation = c.key and user_id = $1 and left_seq is null limit 1) m
      ), gone as (
        delete from push_mute where user_id = $1 and device_id = $2
          and conversation <> all (array(select key from wanted))
      ), added as (
        insert into push_mute (user_id, device_id, conversation) select $1, $2, key from wanted order by key
          on conflict do nothing
      )
      select coalesce(array_agg(id order by id), '{}') as ids from wanted`,
    values: [user, device, conversations],
  });
  return texts(onlyRow(rows, 'mute-push'), 'ids');
}

/** Ids of the conversations that a device is not woken for. */
export async function readMuted(pool: pg.Pool, { user, device }: DeviceName): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-muted',
    text: `select coalesce(array_agg(c.id order by c.id), '{}') as ids
      from (select conversation from push_mute where user_id = $1 and device_id = $2 offset 0) x
      cross join lateral (select id from conversation where key = x.conversation and deleted_at is null limit 1) c`,
    values: [user, device],
  });
  return texts(onlyRow(rows, 'read-muted'), 'ids');
}
