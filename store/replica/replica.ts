import type pg from 'pg';
import { makePool } from '../pool.ts';
import type { DatabaseServer } from '../server.ts';
import { type Row, orNull, time } from '../row.ts';

/** A copy of the database that follows the primary. It serves reads of old entries, and decides nothing. */
export interface Replica {
  readonly pool: pg.Pool;
  /** Whether it is known to follow this primary, not more than a few seconds behind. */
  readonly follows: () => boolean;
  /** A read on it failed: nobody asks it again before the next look. */
  readonly failed: (error: unknown) => void;
  readonly close: () => Promise<void>;
}

export interface ReplicaDeps {
  readonly primary: pg.Pool;
  readonly server: DatabaseServer;
  /** Connections. */
  readonly max: number;
  /** Id of this process in the table `process`, whose row it signs again all the time. */
  readonly processId: string;
  readonly onChange: (follows: boolean, why: unknown) => void;
  /** Milliseconds between two looks. @default 1000 */
  readonly everyMs?: number;
  /** @default PROOF_MS */
  readonly proofMs?: number;
}

/** The primary can serve the page too: nobody waits long for a replica that does not answer. */
const READ_MS = 1000;

/** Signs older than this prove nothing: since then the replica may have lost its primary, or the primary its history. */
const PROOF_MS = 5000;

/**
 * Connects to a replica, and looks regularly whether it follows the primary.
 *
 * The proof is a sign that this very process wrote to the primary a moment ago (`store/process/processes.ts`). A server that was
 * restored, promoted, cut off or paused, or that is another database, does not have it. The times compared are both from the clock of
 * the primary.
 */
export function openReplica(deps: ReplicaDeps): Replica {
  const { primary, server, max, processId, onChange, everyMs = 1000, proofMs = PROOF_MS } = deps;
  const pool = makePool({ ...server, max, name: 'parley-replica', statementTimeoutMs: READ_MS });
  pool.on('error', () => undefined);
  /** Signs that the primary had, with the time of the look: the oldest first. */
  let signs: { readonly signedAt: number; readonly lookedAt: number }[] = [];
  let state = false;
  /** Start of the last look that found the proof. A look that hangs, because the primary does, must not keep an old one alive. */
  let provenAt = -Infinity;
  let isLooking = false;
  const become = (follows: boolean, why?: unknown): void => {
    if (follows === state) return;
    state = follows;
    onChange(follows, why);
  };
  const look = async (): Promise<void> => {
    const now = performance.now();
    signs = signs.filter(({ lookedAt }) => now - lookedAt < proofMs);
    const signedAt = await readSign(primary, processId);
    if (signedAt !== undefined) signs.push({ signedAt, lookedAt: now });
    const copied = await readSign(pool, processId);
    const [oldest] = signs;
    const follows = oldest !== undefined && copied !== undefined && copied >= oldest.signedAt;
    if (follows) provenAt = now;
    become(follows, new Error('It is behind'));
  };
  const timer = setInterval(() => {
    // A look that hangs must not be joined by more and more others.
    if (isLooking) return;
    isLooking = true;
    look()
      .catch((error: unknown) => become(false, error))
      .finally(() => (isLooking = false));
  }, everyMs);
  return {
    pool,
    follows: () => state && performance.now() - provenAt < proofMs,
    failed: (error) => become(false, error),
    close: async () => {
      clearInterval(timer);
      await pool.end();
    },
  };
}

/** When the process signed its row last, as this server has it; milliseconds since 1970. */
async function readSign(pool: pg.Pool, processId: string): Promise<number | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-sign',
    text: 'select (select seen_at from process where id = $1) as "signedAt"',
    values: [processId],
  });
  const [row] = rows;
  return row === undefined ? undefined : orNull(time, row, 'signedAt')?.getTime();
}
