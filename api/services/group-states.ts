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
 * once and parsed once: the first request of a user does so, and those of the same user that come meanwhile wait for it. Requests
 * of other users wait for nobody: the share of that user may be full, and its deadline is not theirs.
 */
export interface GroupStates {
  /** @returns `undefined` if there is no such conversation */
  readonly current: (conversation: string, user: string) => Promise<CurrentGroup | undefined>;
  /**
   * The current epoch, and what its proposals are checked against. Absent = there is no tree that the service reads.
   * @returns `undefined` if there is no such conversation
   */
  readonly facts: (
    conversation: string,
    owner: JobOwner,
  ) => Promise<{ readonly epoch: number; readonly facts?: EpochFacts | undefined } | undefined>;
  /** After a restore another GroupInfo can have the epoch and the version of one that is kept. */
  readonly forgetAll: () => void;
}

interface Cached {
  readonly epoch: number;
  readonly version: string;
  readonly stored: StoredGroup;
  /** Absent = not known yet. */
  facts?: { readonly known: EpochFacts | undefined };
}

export function makeGroupStates(deps: {
  readonly pool: pg.Pool;
  readonly jobs: Jobs;
  readonly treeCheckMaxBytes: number;
}): GroupStates {
  const { pool, jobs, treeCheckMaxBytes } = deps;
  const cache = new LRUCache<string, Cached>({ maxSize: MAX_CACHED_BYTES });
  const loading = new Map<string, Promise<Cached | undefined>>();
  const parsing = new Map<string, Promise<EpochFacts | undefined>>();
  const versions = new Map<string, ReturnType<typeof readGroupInfoVersion>>();

  /** A state above the whole size is not kept. */
  const keep = (id: string, cached: Cached): void => {
    const leaves = cached.facts?.known?.users.length ?? 0;
    cache.set(id, cached, { size: ENTRY_BYTES + bytesOf(cached.stored) + leaves * LEAF_BYTES });
  };
  const load = async (id: string, epoch: number, version: string): Promise<Cached | undefined> => {
    const stored = await read(pool, id, epoch);
    if (stored === undefined) return undefined;
    const cached = { epoch, version, stored };
    keep(id, cached);
    return cached;
  };
  const find = async (
    id: string,
    user: string,
  ): Promise<{ epoch: number; cached?: Cached | undefined } | undefined> => {
    const asker = keyOf(id, user);
    const now = await shared(versions, asker, () => {
      // The proposals of one request ask in the same turn of the event loop. They share one statement, which is younger than all.
      queueMicrotask(() => versions.delete(asker));
      return readGroupInfoVersion(pool, id);
    });
    if (now === undefined) return undefined;
    const { epoch, version } = now;
    if (version === null) return { epoch };
    const known = cache.get(id);
    if (known?.epoch === epoch && known.version === version) return { epoch, cached: known };
    const key = keyOf(id, user, epoch, version);
    return { epoch, cached: await shared(loading, key, () => load(id, epoch, version)) };
  };
  const parse = async (id: string, cached: Cached, owner: JobOwner): Promise<EpochFacts | undefined> => {
    const known = await jobs.run('epoch-facts', owner, cached.stored, treeCheckMaxBytes);
    cached.facts = { known };
    if (cache.get(id) === cached) keep(id, cached);
    return known;
  };
  return {
    current: async (id, user) => {
      const found = await find(id, user);
      if (found === undefined) return undefined;
      const { epoch, cached } = found;
      return { epoch, ...(cached === undefined ? {} : { stored: cached.stored }) };
    },
    facts: async (id, owner) => {
      const { user } = owner;
      const found = await find(id, user);
      if (found?.cached === undefined || treeCheckMaxBytes === 0) return found;
      const { epoch, cached } = found;
      const key = keyOf(id, user, epoch, cached.version);
      const facts = cached.facts ?? { known: await shared(parsing, key, () => parse(id, cached, owner)) };
      return { epoch, facts: facts.known };
    },
    forgetAll: () => {
      cache.clear();
      loading.clear();
      parsing.clear();
    },
  };
}

/** A NUL can separate the parts, because ids have no control characters. */
function keyOf(...parts: readonly (string | number)[]): string {
  return parts.join('\0');
}

/** The work that runs under a key, or that begins now. */
function shared<T>(running: Map<string, Promise<T>>, key: string, begin: () => Promise<T>): Promise<T> {
  let work = running.get(key);
  if (work === undefined) {
    const own = begin().finally(() => {
      if (running.get(key) === own) running.delete(key);
    });
    running.set(key, (work = own));
  }
  return work;
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
