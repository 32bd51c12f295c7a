import type pg from 'pg';
import { MAX_BATCH_BYTES } from '../domain/limits.ts';
import { isRetryable } from '../store/sqlstate.ts';
import { type StageRow, type StagedKey, discardStaged, stage } from '../store/staging/stage.ts';
import { Turns } from '../store/turns.ts';
import { jitter, pause } from './pause.ts';

/** Statements at once. While they run, the next rows gather. */
const STATEMENTS = 2;
const ROWS = 512;

interface WaitingRow {
  readonly row: StageRow;
  readonly resolve: (key: StagedKey) => void;
  readonly reject: (error: unknown) => void;
}

/** Stores the bytes of commands ahead of their updates: one insert for many commands of many conversations. */
export interface Stager {
  /**
   * @returns the key, or why the row was not taken
   * @throws the database's error, once the deadline has passed or when a new try cannot help
   */
  readonly stage: (row: StageRow, deadline: number) => Promise<StagedKey>;
  /** Deletes rows whose commands will never be decided. */
  readonly discard: (keys: readonly number[]) => Promise<void>;
}

/**
 * @param pool may commit asynchronously: the deciding commit comes later on the same server and flushes the write-ahead
 * log before it, so no decided message can lose its bytes
 */
export function makeStager(pool: pg.Pool): Stager {
  const waitingRows = new Turns<WaitingRow>();
  let running = 0;
  let scheduled = false;

  const take = (): WaitingRow[] => {
    let [rows, bytes] = [0, 0];
    return waitingRows.take(({ row }) => {
      rows++;
      bytes += sizeOf(row);
      return rows <= ROWS && bytes <= MAX_BATCH_BYTES;
    });
  };
  const run = async (batch: readonly WaitingRow[]): Promise<void> => {
    try {
      const rows = batch.map(({ row }) => row);
      const keys = await stage(pool, rows);
      batch.forEach((waiting, i) => waiting.resolve(keys[i] ?? 'not-a-member'));
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    }
  };
  const pump = (): void => {
    scheduled = false;
    while (running < STATEMENTS && !waitingRows.isEmpty) {
      running++;
      void run(take()).finally(() => {
        running--;
        pump();
      });
    }
  };
  const once = (row: StageRow): Promise<StagedKey> =>
    new Promise((resolve, reject) => {
      waitingRows.push(row.user, { row, resolve, reject });
      if (scheduled) return;
      scheduled = true;
      // Requests of the same turn of the event loop share the statement.
      setImmediate(pump);
    });

  return {
    stage: async (row, deadline) => {
      for (;;) {
        try {
          return await once(row);
        } catch (error) {
          if (!isRetryable(error) || Date.now() >= deadline) throw error;
          await pause(jitter(50, 300), deadline);
        }
      }
    },
    discard: (keys) => discardStaged(pool, keys),
  };
}

function sizeOf({ ciphertext, welcome, groupInfo }: StageRow): number {
  return ciphertext.length + (welcome?.length ?? 0) + (groupInfo?.length ?? 0);
}
