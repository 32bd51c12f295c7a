import type { Logger } from 'pino';
import type pg from 'pg';
import { type Incarnation, type IncarnationLook, makeIncarnations } from './incarnation.ts';

/** A device must learn soon that the service went back. One look is one short statement. */
const EVERY_MS = 1000;

/** What this process knows of the incarnation of the service. */
export interface IncarnationWatch {
  /** As of the last look; undefined = there was none yet. */
  readonly current: () => string | undefined;
  /** Looks, unless there was a look before. @throws when the database does not answer */
  readonly known: () => Promise<string>;
  /** Looks now. Used after a connection was lost, and when another process ended an incarnation. */
  readonly refresh: () => Promise<void>;
  /** An operator says that the database was restored. @param actor user id of the operator */
  readonly raise: (actor: string) => Promise<Incarnation>;
  /** Calls for each new incarnation, and for the first that becomes known. */
  readonly onChange: (listener: (id: string) => void) => void;
  /** Whether the server lets us notice a restore. */
  readonly canNotice: () => boolean;
}

/**
 * Finds out by itself that the database was restored or promoted: its timeline, its server or the database itself is another one, or
 * its durable WAL is shorter than this process saw it. The first process that sees it ends the incarnation; the others see that.
 * @param tell called when this process ended an incarnation, so that the others look at once
 */
export function makeIncarnationWatch(deps: {
  readonly pool: pg.Pool;
  readonly log: Logger;
  readonly tell?: () => Promise<void>;
}): IncarnationWatch {
  const { pool, log, tell = () => Promise.resolve() } = deps;
  const incarnations = makeIncarnations(pool);
  const listeners: ((id: string) => void)[] = [];
  let last: { readonly id: string; readonly flushed: number | null } | undefined;
  let running: Promise<void> | undefined;

  const become = (id: string, flushed: number | null): void => {
    const before = last?.id;
    last = { id, flushed };
    if (before === id) return;
    if (before !== undefined) log.warn({ before, incarnation: id }, 'the service has another incarnation');
    for (const listener of listeners) listener(id);
  };
  const reasonIn = (look: IncarnationLook): 'moved' | 'wal-shorter' | undefined => {
    if (look.moved) return 'moved';
    const wasLonger = last?.id === look.id && (last.flushed ?? 0) > (look.flushed ?? Infinity);
    return wasLonger ? 'wal-shorter' : undefined;
  };
  const look = async (): Promise<void> => {
    const found = await incarnations.look();
    const reason = found.isStandby ? undefined : reasonIn(found);
    if (reason !== undefined) {
      const raised = await incarnations.raise(reason, 'service', found.id);
      if (raised === undefined) return look();
      become(raised.id, null);
      await tell().catch((error: unknown) => log.debug({ err: error }, 'others were not told of the incarnation'));
      return;
    }
    if (found.isNew && !found.isStandby) await incarnations.note(found.id);
    become(found.id, found.flushed);
  };
  /** One look at a time: two would compare with each other's past. */
  const refresh = (): Promise<void> => (running ??= look().finally(() => (running = undefined)));
  return {
    current: () => last?.id,
    known: async () => {
      if (last === undefined) await refresh();
      if (last === undefined) throw new Error('The incarnation is not known');
      return last.id;
    },
    refresh,
    raise: async (actor) => {
      const raised = await incarnations.raise('restored', actor);
      if (raised === undefined) throw new Error('The database has no incarnation');
      become(raised.id, null);
      await tell();
      return raised;
    },
    onChange: (listener) => void listeners.push(listener),
    canNotice: incarnations.canNotice,
  };
}

/** Looks regularly. @returns ends it */
export function lookRegularly(watch: IncarnationWatch, log: Logger, everyMs = EVERY_MS): () => void {
  const timer = setInterval(() => {
    watch.refresh().catch((error: unknown) => log.debug({ err: error }, 'the incarnation was not read'));
  }, everyMs);
  return () => clearInterval(timer);
}
