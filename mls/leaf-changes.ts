import { hash } from 'node:crypto';
import type { LeafNode } from './frame.ts';
import { type Leaves, userOf } from './tree.ts';

/** What a commit changes in the leaves of a tree. Hashes are SHA-256 in lower-case hex. */
export interface LeafChanges {
  /** Names ({@link leafName}) of leaves that are gone. Absent = none. */
  readonly goneLeaves?: readonly string[];
  /** Hashes of the nodes of leaves that were added from a key package. Absent = none. */
  readonly newLeaves?: readonly string[];
  /** Hashes of the nodes of leaves from key packages that are gone. Absent = none. */
  readonly lostLeaves?: readonly string[];
  /** Users who have no leaf any more, though the request does not name them. Absent = none. */
  readonly droppedUsers?: readonly DroppedUser[];
}

/** A user, and the names of all leaves that it had. */
export interface DroppedUser {
  readonly user: string;
  readonly leaves: readonly string[];
}

/**
 * The name of a leaf: the hash of its signature key, which is unique in a group (RFC 9420 §7.3) and stays when the leaf is
 * updated.
 */
export function leafName({ signatureKey }: Pick<LeafNode, 'signatureKey'>): string {
  return sha256(signatureKey);
}

/** The hash of a whole leaf node. A leaf that was added from a key package is the same node as in the package. */
export function leafNodeHash({ bytes }: Pick<LeafNode, 'bytes'>): string {
  return sha256(bytes);
}

/**
 * Compares the leaves before and after a commit. Only leaves that differ are hashed.
 * @param removes users whom the request names
 */
export function leafChanges(before: Leaves, after: Leaves, removes: readonly string[] = []): LeafChanges {
  const gone = new Map<string, LeafNode>();
  const here = new Set<string>();
  const added: string[] = [];
  for (let index = 0; index < Math.max(before.length, after.length); index++) {
    const [old, now] = [before[index], after[index]];
    if (old !== undefined && now !== undefined && Buffer.compare(old.bytes, now.bytes) === 0) continue;
    if (old !== undefined) gone.set(leafName(old), old);
    if (now === undefined) continue;
    here.add(leafName(now));
    if (now.source === 'key_package') added.push(leafNodeHash(now));
  }
  const goneLeaves = [...gone.keys()].filter((name) => !here.has(name));
  const lostLeaves = [...gone]
    .filter(([name, { source }]) => source === 'key_package' && !here.has(name))
    .map(([, leaf]) => leafNodeHash(leaf));
  const dropped = droppedUsers(before, after, removes);
  return {
    ...(goneLeaves.length === 0 ? {} : { goneLeaves }),
    ...(added.length === 0 ? {} : { newLeaves: added }),
    ...(lostLeaves.length === 0 ? {} : { lostLeaves }),
    ...(dropped.length === 0 ? {} : { droppedUsers: dropped }),
  };
}

function droppedUsers(before: Leaves, after: Leaves, removes: readonly string[]): DroppedUser[] {
  const others = new Set([...removes, ...after.map((leaf) => (leaf === undefined ? undefined : userOf(leaf)))]);
  const dropped = new Map<string, string[]>();
  for (const leaf of before) {
    const user = leaf === undefined ? undefined : userOf(leaf);
    if (leaf === undefined || user === undefined || others.has(user)) continue;
    dropped.set(user, [...(dropped.get(user) ?? []), leafName(leaf)]);
  }
  return [...dropped].map(([user, leaves]) => ({ user, leaves }));
}

function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
