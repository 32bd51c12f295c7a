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
  /** By user. Each user's rows keep their order; users take turns. */
  const queues = new Map<string, WaitingRow[]>();
  let running = 0;
  let scheduled = false;

  /** The rows of the next statement, one of each user in turn: nobody waits until somebody else's many rows are stored. */
  const take = (): WaitingRow[] => {
    const batch: WaitingRow[] = [];
    let bytes = 0;
    // A user whose turn is over comes again at the end of the map, which the loop reaches.
    for (const [user, queue] of queues) {
      const [waiting] = queue;
      if (waiting === undefined) continue;
      bytes += sizeOf(waiting.row);
      if (batch.length > 0 && (batch.length === ROWS || bytes > MAX_BATCH_BYTES)) break;
      batch.push(waiting);
      queue.shift();
      queues.delete(user);
      if (queue.length > 0) queues.set(user, queue);
    }
    return batch;
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
    while (running < STATEMENTS && queues.size > 0) {
      running++;
      void run(take()).finally(() => {
        running--;
        pump();
      });
    }
  };
  const once = (row: StageRow): Promise<StagedKey> =>
    new Promise((resolve, reject) => {
      const queue = queues.get(row.user) ?? [];
      queues.set(row.user, queue);
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

function sizeOf({ ciphertext, welcome, groupInfo }: StageRow): number {
  return ciphertext.length + (welcome?.length ?? 0) + (groupInfo?.length ?? 0);
}
