import type pg from 'pg';
import { STAGED_BYTES_PER_USER } from '../../domain/limits.ts';
import type { CommitRequest, GroupInfoOperation, ReportOperation } from '../../domain/operation.ts';

/** Parts of an operation that stay in its staged row. */
export type StagedRequest =
  CommitRequest | Pick<GroupInfoOperation, 'leaves'> | Pick<ReportOperation, 'reason' | 'epochAuthenticator'>;

/** Bytes and sender of one operation, on their way to the deciding transaction by reference. */
export interface StageRow {
  readonly conversation: string;
  readonly user: string;
  readonly epoch?: number | undefined;
  readonly ciphertext: Uint8Array;
  readonly welcome?: Uint8Array | undefined;
  readonly groupInfo?: Uint8Array | undefined;
  /** What else no history may hold: of a commit, a GroupInfo or a report. */
  readonly request?: StagedRequest | undefined;
}

/** The key of a staged row, or why it was not taken. */
export type Staged = number | 'not-a-member' | 'over-quota';

/**
 * Stores the bytes of many operations, of any conversations, in one statement.
 * @returns one for each row
 */
export async function stage(pool: pg.Pool, rows: readonly StageRow[]): Promise<Staged[]> {
  const { rows: answered } = await pool.query<{ n: number; key: number | null }>({
    name: 'stage',
    text: 'select n, key from stage($1, $2, $3, $4, $5, $6, $7, $8)',
    values: [
      rows.map((row) => row.conversation),
      rows.map((row) => row.user),
      rows.map((row) => row.epoch ?? null),
      rows.map((row) => row.ciphertext),
      rows.map((row) => row.welcome ?? null),
      rows.map((row) => row.groupInfo ?? null),
      rows.map((row) => (row.request === undefined ? null : JSON.stringify(row.request))),
      STAGED_BYTES_PER_USER,
    ],
  });
  const staged = new Array<Staged>(rows.length).fill('not-a-member');
  for (const { n, key } of answered) staged[n - 1] = key ?? 'over-quota';
  return staged;
}

/** Deletes staged rows whose operations will never be decided. */
export async function discardStaged(pool: pg.Pool, keys: readonly number[]): Promise<void> {
  await pool.query({ name: 'discard-staged', text: 'delete from staged where key = any ($1)', values: [keys] });
}
