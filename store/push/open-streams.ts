import type pg from 'pg';
import type { DeviceName } from '../key-package/key-packages.ts';

/** A stream of a device. */
export interface StreamOfDevice extends DeviceName {
  /** UUID. */
  readonly id: string;
}

/**
 * Records which devices have an open stream: their wake-ups are held. Only devices with a push target have a row. Of several
 * streams of a device the newest counts.
 * @param opened at most one of a device
 */
export async function recordStreams(
  pool: pg.Pool,
  opened: readonly StreamOfDevice[],
  closed: readonly StreamOfDevice[],
): Promise<void> {
  if (closed.length > 0) await setStreams(pool, 'record-closed-streams', 'null', closed);
  if (opened.length > 0) await setStreams(pool, 'record-open-streams', 's.id', opened);
}

/** Locks the rows in the order in which everybody locks them. @param stream SQL; null = only where it is still the newest stream */
async function setStreams(
  pool: pg.Pool,
  name: string,
  stream: 'null' | 's.id',
  streams: readonly StreamOfDevice[],
): Promise<void> {
  await pool.query({
    name,
    text: `with found as materialized (
        select t.key, s.id from unnest($1::text[], $2::text[], $3::uuid[]) s (user_id, device_id, id)
        cross join lateral (
          select key from push_target where user_id = s.user_id and device_id = s.device_id limit 1) t
        order by t.key
      ), locked as materialized (
        select t.key, f.id from found f
        cross join lateral (
          select key from push_target
          where key = f.key ${stream === 'null' ? 'and stream_id = f.id' : ''} limit 1 for update) t
      )
      update push_target t set stream_id = ${stream} from locked s where t.key = s.key`,
    values: columns(streams),
  });
}

function columns(streams: readonly StreamOfDevice[]): string[][] {
  return [streams.map(({ user }) => user), streams.map(({ device }) => device), streams.map(({ id }) => id)];
}
