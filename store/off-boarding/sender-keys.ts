import type pg from 'pg';
import { type Row, bytes, flag, oneOf, onlyRow, integer } from '../row.ts';

/** Signature schemes of cipher suites, by the names that `mls/suite.ts` uses. */
export const SENDER_SCHEMES = ['Ed25519', 'Ed448', 'P256', 'P384', 'P521'] as const;
export type SenderScheme = (typeof SENDER_SCHEMES)[number];

/** A signature key of the service as external sender (RFC 9420 §12.1.8.1). */
export interface SenderKey {
  readonly scheme: SenderScheme;
  readonly publicKey: Buffer;
  /** The private key, encrypted (`process/sealed.ts`). */
  readonly sealed: Buffer;
  /** Groups should list it. Others were replaced, and are kept for groups that list them. */
  readonly isCurrent: boolean;
}

/** All keys of a scheme, the newest first. */
export async function readSenderKeys(pool: pg.Pool, scheme: SenderScheme): Promise<SenderKey[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-sender-keys',
    text: `select scheme, public_key as "publicKey", sealed, retired_at is null as "isCurrent" from external_sender_key
      where scheme = $1 order by id desc`,
    values: [scheme],
  });
  return rows.map((row) => ({
    scheme: oneOf(row, 'scheme', SENDER_SCHEMES),
    publicKey: bytes(row, 'publicKey'),
    sealed: bytes(row, 'sealed'),
    isCurrent: flag(row, 'isCurrent'),
  }));
}

/** Stores a key as the current one of its scheme, unless there is one: two processes may come at the same time. */
export async function addSenderKey(pool: pg.Pool, key: Omit<SenderKey, 'isCurrent'>): Promise<void> {
  await pool.query({
    name: 'add-sender-key',
    text: `insert into external_sender_key (scheme, public_key, sealed) values ($1, $2, $3)
      on conflict (scheme) where retired_at is null do nothing`,
    values: [key.scheme, key.publicKey, key.sealed],
  });
}

/** Retires the current keys: the next use of each scheme makes a new one. @returns number of keys */
export async function retireSenderKeys(pool: pg.Pool, actor: string): Promise<number> {
  const { rows } = await pool.query<Row>({
    name: 'retire-sender-keys',
    text: `with retired as (
        update external_sender_key set retired_at = clock_timestamp() where retired_at is null returning scheme
      ), noted as (
        insert into audit (actor, action, details)
        select $1, 'external-sender-rotated', jsonb_build_object('schemes', jsonb_agg(scheme)) from retired having count(*) > 0
      )
      select count(*) as keys from retired`,
    values: [actor],
  });
  return integer(onlyRow(rows, 'retire-sender-keys'), 'keys');
}
