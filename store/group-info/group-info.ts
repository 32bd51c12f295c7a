import type pg from 'pg';
import { type Row, bytes, flag, integer, orNull, text } from '../row.ts';

/**
 * Bytes of one row of a large value. `pg` decodes a row at once, from hexadecimal text: a value of 5 MB in one row would stop the
 * event loop for tens of milliseconds. Between rows other requests go on.
 */
const SLICE_BYTES = 128 * 1024;

/**
 * SQL that makes several rows of one, numbered by `slices.n`: each has {@link slice} of its large values. There is at least one row.
 * @param values columns of type bytea
 */
const slicesOf = (...values: readonly string[]): string =>
  `cross join lateral generate_series(0, greatest(0, ${values
    .map((value) => `(octet_length(${value}) - 1) / ${SLICE_BYTES}`)
    .join(', ')})) slices(n)`;

/** SQL of one slice of a column. Bytes that are stored uncompressed are not read as a whole for it. */
const slice = (value: string): string => `substring(${value} from slices.n * ${SLICE_BYTES} + 1 for ${SLICE_BYTES})`;

/** Puts the slices of a column together. @param rows with `n`, in any order: the database would copy the bytes to sort them */
function joined(rows: readonly Row[], field: string): Buffer | null {
  const inOrder = rows.toSorted((a, b) => integer(a, 'n') - integer(b, 'n'));
  const slices = inOrder.map((row) => orNull(bytes, row, field)).filter((part) => part !== null);
  return slices.length === 0 ? null : Buffer.concat(slices);
}

/** The GroupInfo of the current epoch (RFC 9420 §12.4.3). */
export interface CurrentGroupInfo {
  /** Current epoch of the conversation. */
  readonly epoch: number;
  /** null = no member supplied one for this epoch. */
  readonly groupInfo: Buffer | null;
}

/** The GroupInfo as one user may see it. */
export interface GroupInfoView extends CurrentGroupInfo {
  /** Set for a former member who may not see the GroupInfo: the last entry it may read. */
  readonly leftSeq: number | null;
}

/**
 * The GroupInfo of the current epoch, for members. Where anyone may join, also for users who never were members, and for
 * users who left by themselves, unless they are barred.
 * @returns `undefined` when the conversation does not exist for this user
 */
export async function readGroupInfo(
  pool: pg.Pool,
  conversation: string,
  user: string,
): Promise<GroupInfoView | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-group-info',
    text: `select case when c.open and m.left_self then null else m.left_seq end as "leftSeq", c.epoch,
        slices.n, ${slice('g.group_info')} as "groupInfo"
      from (select *, policy ->> 'externalJoin' = 'anyone' and not is_barred(key, $2) as open from conversation
            where id = $1 and deleted_at is null limit 1) c
      left join lateral (
        select user_id, left_seq, left_self from member where conversation = c.key and user_id = $2 limit 1) m on true
      left join lateral (
        select group_info from group_info
        where conversation = c.key and epoch = c.epoch and (m.left_seq is null or c.open and m.left_self) limit 1) g on true
      ${slicesOf('g.group_info')}
      where m.user_id is not null or c.open`,
    values: [conversation, user],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    leftSeq: orNull(integer, row, 'leftSeq'),
    epoch: integer(row, 'epoch'),
    groupInfo: joined(rows, 'groupInfo'),
  };
}

/** What somebody who is no member needs to ask to join. */
export interface EpochToAsk {
  readonly epoch: number;
  /** Absent = no checked GroupInfo says it. */
  readonly cipherSuite?: number;
}

/**
 * The epoch of a conversation whose policy lets users ask to join, for one who may: no member, not removed by somebody else,
 * not barred. Where anyone may join, the GroupInfo says more.
 */
export async function readEpochToAsk(
  pool: pg.Pool,
  conversation: string,
  user: string,
): Promise<EpochToAsk | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-epoch-to-ask',
    text: `select c.epoch, g.cipher_suite as "cipherSuite"
      from (select key, epoch from conversation
            where id = $1 and deleted_at is null and successor is null and policy ->> 'externalJoin' = 'request' limit 1) c
      left join lateral (
        select user_id, left_seq, left_self from member where conversation = c.key and user_id = $2 limit 1) m on true
      left join lateral (select cipher_suite from group_info where conversation = c.key limit 1) g on true
      where (m.user_id is null or m.left_seq is not null and m.left_self) and not is_barred(c.key, $2)`,
    values: [conversation, user],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  const cipherSuite = orNull(integer, row, 'cipherSuite');
  return { epoch: integer(row, 'epoch'), ...(cipherSuite === null ? {} : { cipherSuite }) };
}

/** The public state of a group in its current epoch, as far as it is stored. */
export interface StoredGroupInfo {
  readonly groupInfo: Buffer;
  /** The ratchet tree that the service computed, where the GroupInfo has none. */
  readonly tree: Buffer | null;
  /** The service has checked the GroupInfo and its whole tree. */
  readonly isChecked: boolean;
  /** Its context follows from public commits since a proven one. */
  readonly isProven: boolean;
}

/** Which GroupInfo is the current one. */
export interface GroupInfoVersion {
  /** Current epoch of the conversation. */
  readonly epoch: number;
  /** Changes with each GroupInfo. null = there is none for this epoch. */
  readonly version: string | null;
}

/** Reads which GroupInfo is the current one, without its bytes. @returns `undefined`: there is no such conversation */
export async function readGroupInfoVersion(pool: pg.Pool, conversation: string): Promise<GroupInfoVersion | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-group-info-version',
    text: `select c.epoch, g.version
      from (select key, epoch from conversation where id = $1 and deleted_at is null limit 1) c
      left join lateral (
        select coalesce(version::text, 'first') as version from group_info
        where conversation = c.key and epoch = c.epoch limit 1) g on true`,
    values: [conversation],
  });
  const [row] = rows;
  return row === undefined ? undefined : { epoch: integer(row, 'epoch'), version: orNull(text, row, 'version') };
}

/**
 * Reads the GroupInfo of an epoch, with what the service knows about it.
 * @returns `undefined` when it is not the current one any more
 */
export async function readStoredGroupInfo(
  pool: pg.Pool,
  conversation: string,
  epoch: number,
): Promise<StoredGroupInfo | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-stored-group-info',
    text: `select g.checked, g.proven, slices.n, ${slice('g.group_info')} as "groupInfo", ${slice('g.tree')} as tree
      from (select key, epoch from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (
        select * from group_info where conversation = c.key and epoch = c.epoch and epoch = $2 limit 1) g
      ${slicesOf('g.group_info', 'g.tree')}`,
    values: [conversation, epoch],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  const groupInfo = joined(rows, 'groupInfo');
  if (groupInfo === null) throw new TypeError('A stored GroupInfo has no bytes');
  return {
    groupInfo,
    tree: joined(rows, 'tree'),
    isChecked: flag(row, 'checked'),
    isProven: flag(row, 'proven'),
  };
}

/** Records that the service has checked the GroupInfo of a new conversation. @param sha256 of the GroupInfo */
export async function markGroupInfo(
  pool: pg.Pool,
  conversation: string,
  { sha256, cipherSuite }: { readonly sha256: Uint8Array; readonly cipherSuite: number },
): Promise<void> {
  const values = [conversation, sha256, cipherSuite];
  await pool.query({ name: 'mark-group-info', text: 'select mark_group_info($1, $2, $3)', values });
}

/** Keeps a computed tree until the decision about the commit or GroupInfo that it is for. @param sha256 of the GroupInfo */
export async function offerTree(
  pool: pg.Pool,
  conversation: string,
  { sha256, tree }: { readonly sha256: Uint8Array; readonly tree: Uint8Array },
): Promise<void> {
  const values = [conversation, sha256, tree];
  await pool.query({ name: 'offer-tree', text: 'select offer_tree($1, $2, $3)', values });
}
