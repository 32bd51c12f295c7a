import type pg from 'pg';
import { deciderOf } from '../decision/decide.ts';
import type { DeviceName } from '../key-package/key-packages.ts';
import { type Row, integer, onlyRow, orNull, text, time, flag, oneOf } from '../row.ts';
import { type RemovalNews, parseNews } from './removals.ts';

export const OFF_BOARDING_REASONS = ['account-closed', 'device-stolen', 'device-removed'] as const;
export type OffBoardingReason = (typeof OFF_BOARDING_REASONS)[number];

/** A user who is removed from everywhere, or a device of it. */
export interface OffBoarding {
  readonly id: number;
  readonly user: string;
  /** '' = the whole user. */
  readonly device: string;
  readonly reason: OffBoardingReason;
  /** User id of the operator. */
  readonly startedBy: string;
  readonly startedAt: Date;
  /** When it was undone. */
  readonly endedAt: Date | null;
  /** All conversations were reached. */
  readonly isWorked: boolean;
  /** Conversations to work off. */
  readonly total: number;
  /** Conversations whose groups have no leaf of the user any more. */
  readonly done: number;
  /** Conversations that wait for a commit of a member. */
  readonly waiting: number;
}

const FIELDS = `o.id, o.user_id as user, o.device_id as device, o.reason, o.started_by as "startedBy", o.started_at as "startedAt",
  o.ended_at as "endedAt", o.worked_at is not null as "isWorked", greatest(o.total, r.done + r.waiting) as total, r.done, r.waiting`;
const COUNTS = `cross join lateral (
  select count(*) filter (where done_at is not null) as done, count(*) filter (where done_at is null) as waiting
  from removal where off_boarding = o.id) r`;

/** The newest off-boarding of a user or device, also one that was undone. */
export async function readOffBoarding(pool: pg.Pool, user: string, device: string): Promise<OffBoarding | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-off-boarding',
    text: `select ${FIELDS} from (
        select * from off_boarding where user_id = $1 and device_id = $2 order by id desc limit 1) o ${COUNTS}`,
    values: [user, device],
  });
  const [row] = rows;
  return row === undefined ? undefined : parse(row);
}

/** An off-boarding by its id. */
export async function readOffBoardingById(pool: pg.Pool, id: number): Promise<OffBoarding | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-off-boarding-by-id',
    text: `select ${FIELDS} from (select * from off_boarding where id = $1 limit 1) o ${COUNTS}`,
    values: [id],
  });
  const [row] = rows;
  return row === undefined ? undefined : parse(row);
}

/** Who does what to whom. */
export interface OffBoardingOrder {
  readonly user: string;
  /** '' = the whole user. */
  readonly device: string;
  /** User id of the operator, or of the owner of the device. */
  readonly actor: string;
}

/** Begins an off-boarding. From now on its user or device is cut off. One that stands already is repeated. @returns its id */
export async function beginOffBoarding(
  pool: pg.Pool,
  { user, device, actor }: OffBoardingOrder,
  reason: OffBoardingReason,
): Promise<number> {
  const { rows } = await pool.query<Row>({
    name: 'begin-off-boarding',
    text: 'select begin_off_boarding($1, $2, $3, $4) as id',
    values: [user, device, reason, actor],
  });
  return integer(onlyRow(rows, 'begin-off-boarding'), 'id');
}

/**
 * Forgets a device of a user and cuts it off, by the user's own wish.
 * @returns the id of its off-boarding; `undefined` = there is no such device
 */
export async function removeOwnDevice(pool: pg.Pool, { user, device }: DeviceName): Promise<number | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'remove-own-device',
    text: 'select remove_own_device($1, $2) as id',
    values: [user, device],
  });
  return orNull(integer, onlyRow(rows, 'remove-own-device'), 'id') ?? undefined;
}

/** Undoes an off-boarding. @returns its id; `undefined` = none stands */
export async function endOffBoarding(
  pool: pg.Pool,
  { user, device, actor }: OffBoardingOrder,
): Promise<number | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'end-off-boarding',
    text: 'select end_off_boarding($1, $2, $3) as id',
    values: [user, device, actor],
  });
  return orNull(integer, onlyRow(rows, 'end-off-boarding'), 'id') ?? undefined;
}

/** A conversation that an off-boarding has to work off. */
export interface OffBoardingTarget {
  /** Internal key: the work goes in its order. */
  readonly key: number;
  readonly id: string;
}

/** The next conversations of an off-boarding. */
export async function nextTargets(pool: pg.Pool, id: number, limit: number): Promise<OffBoardingTarget[]> {
  const { rows } = await pool.query<Row>({
    name: 'off-boarding-page',
    text: 'select key, id from off_boarding_page($1, $2)',
    values: [id, limit],
  });
  return rows.map((row) => ({ key: integer(row, 'key'), id: text(row, 'id') }));
}

/** For so long a step waits for its turn at the lock of a conversation. */
const LOCK_PATIENCE_MS = 1000;

/**
 * Ends the membership in one conversation, or begins it again if the off-boarding was undone.
 * @returns what changed
 * @throws ConversationLockedError, or an error of the database (`lock_not_available`), when a session holds its row
 */
export async function workOff(
  pool: pg.Pool,
  { id, endedAt, device }: Pick<OffBoarding, 'id' | 'endedAt' | 'device'>,
  conversation: string,
): Promise<RemovalNews | undefined> {
  const name = endedAt !== null ? 'restore_member' : device === '' ? 'cut_off_member' : 'cut_off_device';
  return deciderOf(pool).waitForLock(LOCK_PATIENCE_MS, async () => {
    const { rows } = await pool.query<Row>({
      name,
      text: `select ${name}($1, $2) as news`,
      values: [conversation, id],
    });
    return parseNews(onlyRow(rows, name));
  });
}

/**
 * Saves how far an off-boarding has come, unless it was undone since.
 * @param progress `position`: key of the last conversation. `isWorked`: there were no more. `isDone`: nothing is left to do
 */
export async function saveOffBoarding(
  pool: pg.Pool,
  { id, endedAt }: Pick<OffBoarding, 'id' | 'endedAt'>,
  progress: { readonly position: number; readonly isWorked: boolean; readonly isDone: boolean },
): Promise<void> {
  await pool.query({
    name: 'save-off-boarding',
    text: `update off_boarding set position = $3, seen_at = clock_timestamp(),
        worked_at = case when $4 then coalesce(worked_at, clock_timestamp()) else worked_at end,
        done_at = case when $5 then coalesce(done_at, clock_timestamp()) end
      where id = $1 and ended_at is not distinct from (case when $2 then ended_at end)`,
    values: [id, endedAt !== null, progress.position, progress.isWorked, progress.isDone],
  });
}

/** While conversations are being reached, a step comes within seconds. */
const STOPPED_S = 60;
/** A step of an off-boarding is due after this time even if its workflow sleeps; in seconds. */
const FORGOTTEN_S = 2 * 3600;
/** One that was done within moments is looked at once more, unless it is older than this, in seconds. */
const RECENT_S = 24 * 3600;

/**
 * Off-boardings that are not done, and whose workflow seems to be gone. Also those that were done within moments: a decision that had
 * begun before them may have made their user a member since.
 */
export async function forgottenOffBoardings(pool: pg.Pool, limit: number): Promise<number[]> {
  const { rows } = await pool.query<Row>({
    name: 'forgotten-off-boardings',
    text: `(select id from off_boarding where done_at is null
        and (seen_at is null or seen_at < clock_timestamp() - make_interval(secs => case when worked_at is null then $3::float8 else $2::float8 end))
        order by id limit $1)
      union all
      (select id from off_boarding where changed_at > clock_timestamp() - make_interval(secs => $4::float8)
        and changed_at < clock_timestamp() - cut_off_grace() and done_at < changed_at + cut_off_grace() order by changed_at limit $1)
      limit $1`,
    values: [limit, FORGOTTEN_S, STOPPED_S, RECENT_S],
  });
  return rows.map((row) => integer(row, 'id'));
}

/** What metrics show. */
export interface OpenOffBoardings {
  readonly open: number;
  /** Age of the oldest in seconds. */
  readonly oldestSeconds: number;
}

/** Off-boardings that are not done: some group still has a leaf. */
export async function countOpenOffBoardings(pool: pg.Pool): Promise<OpenOffBoardings> {
  const { rows } = await pool.query<Row>({
    name: 'count-off-boardings',
    text: `select count(*) as open, coalesce(ceil(extract(epoch from clock_timestamp() - min(started_at))), 0)::bigint as "oldestSeconds"
      from off_boarding where done_at is null`,
  });
  const row = onlyRow(rows, 'count-off-boardings');
  return { open: integer(row, 'open'), oldestSeconds: integer(row, 'oldestSeconds') };
}

/** Who is cut off, or not any more. */
export interface CutOff {
  readonly user: string;
  /** '' = the whole user. */
  readonly device: string;
  /** Milliseconds since 1970. Tokens of a device that were issued later are a new login. */
  readonly startedAt: number;
  readonly isStanding: boolean;
  /** Milliseconds since 1970, rounded up. */
  readonly changedAt: number;
}

/** The tokens of a device that were issued before it was cut off have expired after this time. */
const DEVICE_DAYS = 90;

/** Changes after a time. @param since milliseconds since 1970; a change becomes visible up to some seconds after its time */
export async function readCutOffs(pool: pg.Pool, since: number): Promise<CutOff[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-cut-offs',
    text: `select user_id as user, device_id as device, floor(extract(epoch from started_at) * 1000)::bigint as "startedAt",
        ended_at is null as "isStanding", ceil(extract(epoch from changed_at) * 1000)::bigint as "changedAt"
      from off_boarding where changed_at >= to_timestamp($1::float8 / 1000)
        and (device_id = '' or started_at > clock_timestamp() - make_interval(days => $2)) order by changed_at, id`,
    values: [since, DEVICE_DAYS],
  });
  return rows.map((row) => ({
    user: text(row, 'user'),
    device: text(row, 'device'),
    startedAt: integer(row, 'startedAt'),
    isStanding: flag(row, 'isStanding'),
    changedAt: integer(row, 'changedAt'),
  }));
}

function parse(row: Row): OffBoarding {
  return {
    id: integer(row, 'id'),
    user: text(row, 'user'),
    device: text(row, 'device'),
    reason: oneOf(row, 'reason', OFF_BOARDING_REASONS),
    startedBy: text(row, 'startedBy'),
    startedAt: time(row, 'startedAt'),
    endedAt: orNull(time, row, 'endedAt'),
    isWorked: flag(row, 'isWorked'),
    total: integer(row, 'total'),
    done: integer(row, 'done'),
    waiting: integer(row, 'waiting'),
  };
}
