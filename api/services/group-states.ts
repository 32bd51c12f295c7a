import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { JobOwner, Jobs } from '../../compute/jobs.ts';
import type { EpochFacts, StoredGroup } from '../../mls/stored-group.ts';
import { readGroupInfoVersion, readStoredGroupInfo } from '../../store/group-info/group-info.ts';

/** Bytes of GroupInfos, trees and facts that are kept. A group of 10,000 has 5 MB. */
const MAX_CACHED_BYTES = 64 * 1024 * 1024;
/** What an entry costs beside its bytes. */
const ENTRY_BYTES = 1000;
/** What the facts of one leaf cost: a user id, a key and their objects. */
const LEAF_BYTES = 300;

/** The current epoch of a conversation, and the public state of its group. */
export interface CurrentGroup {
  readonly epoch: number;
  /** Absent = nobody supplied a GroupInfo for this epoch. */
  readonly stored?: StoredGroup;
}

/**
 * The public states of groups. However many commits and proposals are checked against an epoch, its GroupInfo is loaded
 * once and parsed once: the first request does so, and those that come meanwhile wait for it.
 */
export interface GroupStates {
  /** @returns `undefined` if there is no such conversation */
  readonly current: (conversation: string) => Promise<CurrentGroup | undefined>;
  /**
   * The current epoch, and what its proposals are checked against. Absent = there is no tree that the service reads.
   * @returns `undefined` if there is no such conversation
   */
  readonly facts: (
    conversation: string,
    owner: JobOwner,
  ) => Promise<{ readonly epoch: number; readonly facts?: EpochFacts | undefined } | undefined>;
}

interface Cached {
  readonly epoch: number;
  readonly version: string;
  readonly stored: Promise<StoredGroup | undefined>;
  facts?: Promise<EpochFacts | undefined>;
}

export function makeGroupStates(deps: {
  readonly pool: pg.Pool;
  readonly jobs: Jobs;
  readonly treeCheckMaxBytes: number;
}): GroupStates {
  const { pool, jobs, treeCheckMaxBytes } = deps;
  const cache = new LRUCache<string, Cached>({ maxSize: MAX_CACHED_BYTES });
  /** Sizes are known only when the bytes are there. A state above the whole size is not kept. */
  const weigh = (id: string, cached: Cached, size: number): void => {
    if (cache.get(id) === cached) cache.set(id, cached, { size: ENTRY_BYTES + size });
  };
  const forget = (id: string, cached: Cached): void => {
    if (cache.get(id) === cached) cache.delete(id);
  };

  const load = (id: string, epoch: number, version: string): Cached => {
    const cached: Cached = { epoch, version, stored: read(pool, id, epoch) };
    cache.set(id, cached, { size: ENTRY_BYTES });
    cached.stored.then(
      (stored) => (stored === undefined ? forget(id, cached) : weigh(id, cached, bytesOf(stored))),
      () => forget(id, cached),
    );
    return cached;
  };
  // The proposals of one request ask in the same turn of the event loop. They share one statement, which is younger than all.
  const asked = new Map<string, ReturnType<typeof readGroupInfoVersion>>();
  const version = (id: string): ReturnType<typeof readGroupInfoVersion> => {
    let answer = asked.get(id);
    if (answer === undefined) {
      asked.set(id, (answer = readGroupInfoVersion(pool, id)));
      queueMicrotask(() => asked.delete(id));
    }
    return answer;
  };
  const find = async (id: string): Promise<{ epoch: number; cached?: Cached } | undefined> => {
    const now = await version(id);
    if (now === undefined) return undefined;
    const { epoch, version: current } = now;
    if (current === null) return { epoch };
    const known = cache.get(id);
    const isCurrent = known?.epoch === epoch && known.version === current;
    return { epoch, cached: isCurrent ? known : load(id, epoch, current) };
  };
  const factsOf = async (id: string, cached: Cached, owner: JobOwner): Promise<EpochFacts | undefined> => {
    const stored = await cached.stored;
    if (stored === undefined) return undefined;
    const facts = await jobs.run('epoch-facts', owner, stored, treeCheckMaxBytes);
    weigh(id, cached, bytesOf(stored) + (facts?.users.length ?? 0) * LEAF_BYTES);
    return facts;
  };
  const sharedFacts = async (id: string, cached: Cached, owner: JobOwner): Promise<EpochFacts | undefined> => {
    const others = cached.facts;
    if (others !== undefined) {
      try {
        return await others;
      } catch {
        // The job of another request came too late, or its user had too many. That says nothing about this one.
      }
    }
    const own = (cached.facts ??= factsOf(id, cached, owner));
    try {
      return await own;
    } catch (error) {
      if (cached.facts === own) delete cached.facts;
      throw error;
    }
  };
  return {
    current: async (id) => {
      const found = await find(id);
      if (found === undefined) return undefined;
      const stored = await found.cached?.stored;
      return { epoch: found.epoch, ...(stored === undefined ? {} : { stored }) };
    },
    facts: async (id, owner) => {
      const found = await find(id);
      const { cached } = found ?? {};
      if (found === undefined || cached === undefined || treeCheckMaxBytes === 0) return found;
      return { epoch: found.epoch, facts: await sharedFacts(id, cached, owner) };
    },
  };
}

async function read(pool: pg.Pool, id: string, epoch: number): Promise<StoredGroup | undefined> {
  const row = await readStoredGroupInfo(pool, id, epoch);
  if (row === undefined) return undefined;
  const { groupInfo, tree, isChecked, isProven } = row;
  return { epoch, groupInfo, ...(tree === null ? {} : { tree }), isChecked, isProven };
}

function bytesOf({ groupInfo, tree }: StoredGroup): number {
  return groupInfo.length + (tree?.length ?? 0);
}
