import type pg from 'pg';
import { TROUBLE_SIGNS, type TroubleSign } from '../../domain/trouble.ts';
import { type Row, integer, object, oneOf, text, time } from '../row.ts';

/** A sign of trouble that a process saw. */
export interface TroubleReport {
  /** Id of the conversation. */
  readonly conversation: string;
  readonly sign: TroubleSign;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A stored sign of trouble. */
export interface Trouble extends TroubleReport {
  readonly firstAt: Date;
  readonly lastAt: Date;
  /** How often it was seen since `firstAt`. */
  readonly seen: number;
}

/** Stores what a process saw: one statement, no lock of a conversation. Conversations that do not exist are left out. */
export async function reportTroubles(pool: pg.Pool, reports: readonly TroubleReport[]): Promise<void> {
  if (reports.length === 0) return;
  await pool.query({
    name: 'report-troubles',
    // Sorted, so that two processes that report the same conversations do not wait for each other in a circle.
    text: `insert into trouble as t (conversation, sign, details)
      select distinct on (c.key, r.sign) c.key, r.sign, r.details
        from unnest($1::text[], $2::text[], $3::jsonb[]) as r (id, sign, details)
        join lateral (select key from conversation where id = r.id limit 1) c on true
        order by c.key, r.sign
      on conflict (conversation, sign) do update
        set last_at = clock_timestamp(), seen = t.seen + 1, details = excluded.details`,
    values: [
      reports.map(({ conversation }) => conversation),
      reports.map(({ sign }) => sign),
      reports.map(({ details }) => JSON.stringify(details)),
    ],
  });
}

/** Deletes signs that were seen last longer ago than this. */
export async function forgetTroubles(pool: pg.Pool, olderThanMs: number): Promise<void> {
  await pool.query({
    name: 'forget-troubles',
    text: 'delete from trouble where last_at < clock_timestamp() - make_interval(secs => $1::float8 / 1000)',
    values: [olderThanMs],
  });
}

/** How many conversations have each sign, of those that were seen within this time. */
export async function countTroubles(pool: pg.Pool, withinMs: number): Promise<Map<TroubleSign, number>> {
  const { rows } = await pool.query<Row>({
    name: 'count-troubles',
    text: `select sign, count(*) as count from trouble
      where last_at > clock_timestamp() - make_interval(secs => $1::float8 / 1000) group by sign`,
    values: [withinMs],
  });
  return new Map(rows.map((row) => [oneOf(row, 'sign', TROUBLE_SIGNS), integer(row, 'count')]));
}

/**
 * Stored signs of trouble, those seen last first.
 * @param conversation absent = of all
 * @param withinMs only signs that were seen within this time
 */
export async function listTroubles(
  pool: pg.Pool,
  {
    conversation,
    withinMs,
    limit,
  }: { readonly conversation?: string | undefined; readonly withinMs: number; readonly limit: number },
): Promise<Trouble[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-troubles',
    text: `select c.id, t.sign, t.first_at as "firstAt", t.last_at as "lastAt", t.seen, t.details
      from trouble t join conversation c on c.key = t.conversation
      where t.last_at > clock_timestamp() - make_interval(secs => $1::float8 / 1000) and ($2::text is null or c.id = $2)
      order by t.last_at desc, t.conversation, t.sign limit $3`,
    values: [withinMs, conversation ?? null, limit],
  });
  return rows.map((row) => ({
    conversation: text(row, 'id'),
    sign: oneOf(row, 'sign', TROUBLE_SIGNS),
    firstAt: time(row, 'firstAt'),
    lastAt: time(row, 'lastAt'),
    seen: integer(row, 'seen'),
    details: object(row, 'details'),
  }));
}
