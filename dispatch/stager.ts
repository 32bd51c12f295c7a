import type pg from 'pg';
import { MAX_BATCH_BYTES } from '../domain/limits.ts';
import { isRetryable } from '../store/sqlstate.ts';
import { type StageRow, type StagedKey, discardStaged, stage } from '../store/staging/stage.ts';
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
  const queue: WaitingRow[] = [];
  let running = 0;
  let scheduled = false;

  const take = (): WaitingRow[] => {
    let bytes = 0;
    let count = 0;
    for (const { row } of queue) {
      bytes += row.ciphertext.length + (row.welcome?.length ?? 0) + (row.groupInfo?.length ?? 0);
      if (count > 0 && (count === ROWS || bytes > MAX_BATCH_BYTES)) break;
      count++;
    }
    return queue.splice(0, count);
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
    while (running < STATEMENTS && queue.length > 0) {
      running++;
      void run(take()).finally(() => {
        running--;
        pump();
      });
    }
  };
  const once = (row: StageRow): Promise<StagedKey> =>
    new Promise((resolve, reject) => {
      queue.push({ row, resolve, reject });
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
