import type pg from 'pg';
import type { DeviceName } from '../key-package/key-packages.ts';

/** A stream of a device. */
export interface StreamOfDevice extends DeviceName {
  /** UUID. */
  readonly id: string;
}

const OF_DEVICE = `from unnest($1::text[], $2::text[], $3::uuid[]) s (user_id, device_id, id)
  where t.user_id = s.user_id and t.device_id = s.device_id`;

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
  if (closed.length > 0) {
    await pool.query({
      name: 'record-closed-streams',
      text: `update push_target t set stream_id = null ${OF_DEVICE} and t.stream_id = s.id`,
      values: columns(closed),
    });
  }
  if (opened.length > 0) {
    await pool.query({
      name: 'record-open-streams',
      text: `update push_target t set stream_id = s.id ${OF_DEVICE}`,
      values: columns(opened),
    });
  }
}

function columns(streams: readonly StreamOfDevice[]): string[][] {
  return [streams.map(({ user }) => user), streams.map(({ device }) => device), streams.map(({ id }) => id)];
}
