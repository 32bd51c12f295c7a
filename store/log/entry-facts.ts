import type pg from 'pg';
import { ENTRY_KINDS, type EntryKind } from '../../domain/log-entry.ts';
import { type Row, bytes, flag, integer, oneOf, orNull, text, time } from '../row.ts';

/** What an entry is, without its bytes and without the id that its sender gave it. */
export interface EntryFacts {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly epoch: number;
  /** Size of the body; null = the body is gone. */
  readonly bytes: number | null;
  /** Its sender or an admin deleted the body. */
  readonly isDeleted: boolean;
  readonly sha256: Uint8Array;
  readonly chain: Uint8Array | null;
  readonly sender: string | null;
  readonly at: Date;
}

/** The newest entries of a part of the log, the oldest first. It reads no body. @param to @default the end of the log */
export async function readEntryFacts(
  pool: pg.Pool,
  conversation: string,
  { from, to, limit }: { readonly from: number; readonly to?: number; readonly limit: number },
): Promise<EntryFacts[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-entry-facts',
    text: `select e.* from (select key from conversation where id = $1 limit 1) c
      cross join lateral (
        select seq, kind, epoch, octet_length(ciphertext) as bytes, deleted as "isDeleted", sha256, chain, sender, at from entry
        where conversation = c.key and seq between $2 and coalesce($4, 9223372036854775807) order by seq desc limit $3) e
      order by e.seq`,
    values: [conversation, from, limit, to ?? null],
  });
  return rows.map((row) => ({
    seq: integer(row, 'seq'),
    kind: oneOf(row, 'kind', ENTRY_KINDS),
    epoch: integer(row, 'epoch'),
    bytes: orNull(integer, row, 'bytes'),
    isDeleted: flag(row, 'isDeleted'),
    sha256: bytes(row, 'sha256'),
    chain: orNull(bytes, row, 'chain'),
    sender: orNull(text, row, 'sender'),
    at: time(row, 'at'),
  }));
}
