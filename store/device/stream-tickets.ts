import type pg from 'pg';
import { STREAM_TICKETS_PER_USER, STREAM_TICKET_MS } from '../../domain/limits.ts';
import type { DeviceName } from '../key-package/key-packages.ts';
import { type Row, integer, onlyRow, text, time } from '../row.ts';

/** Tickets with which a browser's EventSource opens a stream, since it can send no token. Only their hashes are stored. */

/** The conversation of a ticket for the stream of all conversations. */
export const ALL_CONVERSATIONS = '';

export interface NewTicket extends DeviceName {
  /** sha256 of the ticket. */
  readonly hash: Buffer;
  /** Id of the conversation, or {@link ALL_CONVERSATIONS}. */
  readonly conversation: string;
  /** Milliseconds since 1970: `exp` of the token that it is made with. */
  readonly expiresAt: number;
  /** Milliseconds since 1970: its `iat`. */
  readonly issuedAt?: number | undefined;
}

/** Later times are as good as this one: the year 9999. */
const LATEST_MS = 253_402_300_799_000;

const MICROSECONDS = (column: string): string => `(extract(epoch from ${column}) * 1000000)::bigint`;

/**
 * Stores a ticket. Of too many tickets of one user, those go that were made or used longest ago.
 * @returns until when it must be used for the first time
 */
export async function createTicket(pool: pg.Pool, ticket: NewTicket): Promise<Date> {
  const { hash, user, device, conversation, expiresAt, issuedAt } = ticket;
  const { rows } = await pool.query<Row>({
    name: 'create-ticket',
    text: `with gone as (
        delete from stream_ticket where hash = any (array(
          select hash from stream_ticket where hash = any (array(
            select hash from stream_ticket where user_id = $2 order by used_at desc offset $6 - 1))
          for update skip locked)))
      insert into stream_ticket (hash, user_id, device_id, conversation, token_expires_at, token_issued_at, expires_at)
      select $1, $2, $3, $4, t.until, to_timestamp($8::float8 / 1000), least(t.until, clock_timestamp() + make_interval(secs => $7::float8 / 1000))
      from (select to_timestamp($5::float8 / 1000) as until) t
      returning expires_at as "expiresAt"`,
    values: [
      hash,
      user,
      device,
      conversation,
      Math.min(expiresAt, LATEST_MS),
      STREAM_TICKETS_PER_USER,
      STREAM_TICKET_MS,
      issuedAt ?? null,
    ],
  });
  return time(onlyRow(rows, 'create-ticket'), 'expiresAt');
}

/** A use of a ticket. Only the newest use of a ticket has a stream. */
export interface TicketUse {
  readonly hash: Buffer;
  /** UUID of the stream. */
  readonly streamId: string;
  /** Microseconds since 1970, by the clock of Postgres: of two uses of a ticket, the later one is the newer. */
  readonly usedAt: number;
}

/** Whose ticket it is, and until when its streams may last. */
export interface UsedTicket extends DeviceName {
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** Milliseconds since 1970. */
  readonly issuedAt?: number;
  readonly use: TicketUse;
}

/**
 * Uses a ticket. After the first use, it is good until the end of the token that it was made with.
 * @param conversation of the stream that is asked for, or {@link ALL_CONVERSATIONS}
 * @param streamId UUID of the stream that it opens
 * @returns undefined: there is no such ticket for this stream, or not any more
 */
export async function openTicket(
  pool: pg.Pool,
  hash: Buffer,
  conversation: string,
  streamId: string,
): Promise<UsedTicket | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'use-ticket',
    text: `update stream_ticket set expires_at = token_expires_at, stream_id = $3,
        used_at = greatest(clock_timestamp(), used_at + interval '1 microsecond')
      where hash = $1 and conversation = $2 and expires_at > clock_timestamp()
      returning user_id as user, device_id as device, token_expires_at as "expiresAt",
        token_issued_at as "issuedAt", ${MICROSECONDS('used_at')} as "usedAt"`,
    values: [hash, conversation, streamId],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    user: text(row, 'user'),
    device: text(row, 'device'),
    expiresAt: time(row, 'expiresAt').getTime(),
    ...(row.issuedAt === null ? {} : { issuedAt: time(row, 'issuedAt').getTime() }),
    use: { hash, streamId, usedAt: integer(row, 'usedAt') },
  };
}

/** Of open streams, the ids of those whose ticket has a newer stream, or is gone. */
export async function readReplacedStreams(pool: pg.Pool, uses: readonly TicketUse[]): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-replaced-streams',
    text: `select s.id from unnest($1::bytea[], $2::uuid[]) s (hash, id)
      left join lateral (select stream_id from stream_ticket where hash = s.hash limit 1) t on true
      where t.stream_id is distinct from s.id`,
    values: [uses.map(({ hash }) => hash), uses.map(({ streamId }) => streamId)],
  });
  return rows.map((row) => text(row, 'id'));
}
