import type pg from 'pg';
import { CONSENT_MODES, type ConsentMode } from '../../domain/consent.ts';
import { type Row, flag, oneOf, onlyRow, text, time } from '../row.ts';

/** Somebody who wants to invite a user, and waits for its answer. */
export interface ConsentRequest {
  readonly user: string;
  /** When it asked. */
  readonly at: Date;
}

/** Reads whom a user lets invite it. @returns `anyone` when it has never said */
export async function readConsent(pool: pg.Pool, user: string): Promise<ConsentMode> {
  const { rows } = await pool.query<Row>({
    name: 'read-consent',
    text: `select coalesce((select mode from consent where user_id = $1 limit 1), 'anyone') as mode`,
    values: [user],
  });
  return oneOf(onlyRow(rows, 'read-consent'), 'mode', CONSENT_MODES);
}

/** Stores whom a user lets invite it. */
export async function writeConsent(pool: pg.Pool, user: string, mode: ConsentMode): Promise<void> {
  await pool.query({
    name: 'write-consent',
    text: `insert into consent (user_id, mode) values ($1, $2)
      on conflict (user_id) do update set mode = excluded.mode, at = clock_timestamp()`,
    values: [user, mode],
  });
}

/**
 * Requests that a user has not answered, by the id of who asks.
 * @param after id after which the page starts; '' = from the first
 */
export async function listConsentRequests(
  pool: pg.Pool,
  user: string,
  after: string,
  limit: number,
): Promise<ConsentRequest[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-consent-requests',
    text: `select asker as user, at from (
        select asker, at from consent_request
        where user_id = $1 and state = 'pending' and asker > $2 order by asker offset 0) r
      where at > clock_timestamp() - consent_request_lifetime() order by asker limit $3`,
    values: [user, after, limit],
  });
  return rows.map((row) => ({ user: text(row, 'user'), at: time(row, 'at') }));
}

/** Stores a user's answer to a request, for good or until it answers again. @returns false when there is no such request */
export async function answerConsentRequest(
  pool: pg.Pool,
  user: string,
  asker: string,
  accept: boolean,
): Promise<boolean> {
  const { rows } = await pool.query<Row>({
    name: 'answer-consent-request',
    text: 'select answer_consent_request($1, $2, $3) as answered',
    values: [user, asker, accept],
  });
  return flag(onlyRow(rows, 'answer-consent-request'), 'answered');
}

/** Requests of one run of the sweep. */
const SWEEP_LIMIT = 10_000;

/** Deletes requests that nobody answered in their time. @returns their number */
export async function sweepConsentRequests(pool: pg.Pool): Promise<number> {
  const { rowCount } = await pool.query(
    `with old as materialized (
       select user_id, asker from consent_request
       where state = 'pending' and at < statement_timestamp() - consent_request_lifetime()
       order by at limit $1 for update skip locked)
     delete from consent_request r using old where r.user_id = old.user_id and r.asker = old.asker`,
    [SWEEP_LIMIT],
  );
  return rowCount ?? 0;
}
