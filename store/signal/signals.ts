import type pg from 'pg';
import { type Refused, parseOutcome } from '../../domain/outcome.ts';
import type { Cursor } from '../log/log-items.ts';
import { SIGNALS_CHANNEL } from '../log/notifications.ts';
import { type Row, orNull, object } from '../row.ts';

/** A signal that a user sends. */
export interface OutgoingSignal {
  readonly conversation: string;
  readonly user: string;
  readonly data: Buffer;
}

/** A signal on its way to open streams. It stands in no table. */
export interface Signal {
  readonly conversation: string;
  /** The end of the log when it was sent. Whoever has not yet come so far does not get it. */
  readonly after: Cursor;
  /** Standard base64. */
  readonly data: string;
  /** User id, in an `opaque` conversation only: in `mls` the service names no sender. */
  readonly sender?: string;
}

/**
 * Checks for each signal that its user may send to the conversation, in the order of checks (`decision/admit.sql`), and sends
 * those that pass to all processes, as notifications. Nothing is written to a table.
 * @returns for each signal its refusal, or `undefined` if it was sent
 */
export async function publishSignals(
  pool: pg.Pool,
  signals: readonly OutgoingSignal[],
): Promise<(Refused | undefined)[]> {
  const { rows } = await pool.query<Row>({
    name: 'publish-signals',
    // No conversation has the key 0. Identical payloads of one statement become one notification.
    text: `select r.refusal, case when r.refusal is null then pg_notify($4, concat_ws(' ', s.id, c.last_seq, x.key, s.data,
          case c.protocol when 'opaque' then s.user_id end)) end
      from unnest($1::text[], $2::text[], $3::text[]) with ordinality s (id, user_id, data, n)
      left join lateral (
        select t as row, t.key, t.last_seq, t.protocol from conversation t
        where t.id = s.id and t.deleted_at is null limit 1) c on true
      left join lateral (
        select t as row, t.user_id, t.left_seq from member t
        where t.conversation = coalesce(c.key, 0) and t.user_id = s.user_id limit 1) m on true
      cross join lateral (
        select coalesce(max(t.key), 0) as key from change t
        where t.conversation = coalesce(c.key, 0) and t.seq = c.last_seq) x
      cross join lateral (
        select jsonb_build_object('kind', 'signal', 'actor', s.user_id) as op) o
      cross join lateral (select case when m.user_id is null then refusal('not-found') else coalesce(
        removed_refusal(m.left_seq), cut_off_refusal(c.row, m.row, o.op), successor_refusal(c.row, m.row, o.op),
        pending_join_refusal(c.row, m.row, o.op)) end as refusal) r
      order by s.n`,
    values: [
      signals.map(({ conversation }) => conversation),
      signals.map(({ user }) => user),
      signals.map(({ data }) => data.toString('base64')),
      SIGNALS_CHANNEL,
    ],
  });
  return rows.map((row) => {
    const refusal = orNull(object, row, 'refusal');
    if (refusal === null) return undefined;
    const outcome = parseOutcome('increment', refusal);
    return outcome.status === 'refused' ? outcome : undefined;
  });
}

/** The signal in a notification of {@link publishSignals}. @throws TypeError */
export function parseSignal(payload: string): Signal {
  const [conversation, seq, key, data, ...sender] = payload.split(' ');
  if (conversation === undefined || seq === undefined || key === undefined || data === undefined) {
    throw new TypeError('A notification is no signal');
  }
  const after = { seq: Number(seq), key: Number(key) };
  // A user id may contain spaces.
  return { conversation, after, data, ...(sender.length === 0 ? {} : { sender: sender.join(' ') }) };
}
