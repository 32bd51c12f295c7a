import type { Logger } from 'pino';
import type pg from 'pg';
import { startHeartbeat } from '../../store/process/heartbeat.ts';
import { type ProcessSign, type WorkersSeen, signAndLook } from '../../store/process/processes.ts';

/** What this process says of itself in Postgres, and what the workers say there. */
export interface Fleet {
  /** Of the last second; undefined = not read yet. */
  readonly workers: () => WorkersSeen | undefined;
  readonly close: () => Promise<void>;
}

/**
 * Signs each second, and reads at the same time which workers do. Temporal would name a worker that is stopped for minutes, because
 * its poll stays open; its sign in Postgres stops at once.
 * @param facts small facts about this process (`ProcessSign.facts`)
 * @returns after the first look, or its failure
 */
export async function watchFleet(deps: {
  readonly pool: pg.Pool;
  readonly self: Omit<ProcessSign, 'facts' | 'kind'> & { readonly namespace: string };
  readonly facts: () => Readonly<Record<string, unknown>>;
  readonly log: Logger;
}): Promise<Fleet> {
  const { pool, log } = deps;
  const { namespace, ...self } = deps.self;
  let seen: WorkersSeen | undefined;
  const sign = async (): Promise<void> => {
    seen = await signAndLook(pool, { ...self, kind: 'api', facts: { ...deps.facts(), namespace } });
  };
  const heartbeat = startHeartbeat({ pool, id: self.id, sign, log });
  await heartbeat.first;
  return { workers: () => seen, close: heartbeat.stop };
}
