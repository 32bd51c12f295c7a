import type pg from 'pg';
import type { Command } from '../../domain/command.ts';
import { STAGED_BYTES_PER_USER } from '../../domain/limits.ts';
import { needsStaging } from '../../domain/staged-command.ts';
import { type RequestJson, requestJson } from '../decision/inline-operation.ts';

/** Bytes and sender of one command, on their way to the deciding transaction by reference. */
export interface StageRow {
  readonly conversation: string;
  readonly user: string;
  readonly epoch?: number | undefined;
  readonly ciphertext: Uint8Array;
  readonly welcome?: Uint8Array | undefined;
  readonly groupInfo?: Uint8Array | undefined;
  /** Other parts that must not be in a history: of everything but messages. */
  readonly request?: RequestJson | undefined;
}

/** The key of a staged row, or why it was not taken. */
export type StagedKey = number | 'not-a-member' | 'over-quota';

/** The row of a command; `undefined` when the command is not staged. */
export function stageRow(conversation: string, command: Command): StageRow | undefined {
  if (!needsStaging(command)) return undefined;
  return {
    conversation,
    user: command.actor,
    epoch: 'epoch' in command ? command.epoch : undefined,
    ...('bytes' in command ? command.bytes : NO_BYTES),
    request: requestJson(command),
  };
}

/** A role or a report has no bytes. Its row holds what it asks for. */
const NO_BYTES = { ciphertext: new Uint8Array() };

/**
 * Stores the rows of many commands, of any conversations, in one statement.
 * @returns one key for each row
 */
export async function stage(pool: pg.Pool, rows: readonly StageRow[]): Promise<StagedKey[]> {
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
  const staged = new Array<StagedKey>(rows.length).fill('not-a-member');
  for (const { n, key } of answered) staged[n - 1] = key ?? 'over-quota';
  return staged;
}

/** Deletes staged rows whose commands will never be decided; not those that a decision has locked, which deletes them itself. */
export async function discardStaged(pool: pg.Pool, keys: readonly number[]): Promise<void> {
  await pool.query({
    name: 'discard-staged',
    text: 'delete from staged where key = any (array(select key from staged where key = any ($1) for update skip locked))',
    values: [keys],
  });
}
