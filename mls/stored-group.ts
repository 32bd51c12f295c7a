import { FrameError, type GroupInfoFrame, parseFrame } from './frame.ts';
import { type Suite, suiteOf } from './suite.ts';
import { treeBytes, userOf } from './tree.ts';
import { type RatchetTree, readRatchetTree } from './tree/ratchet-tree.ts';

/** What the service stores of a group in one epoch. Plain data: it travels to worker threads. */
export interface StoredGroup {
  readonly epoch: number;
  readonly groupInfo: Uint8Array;
  /** The ratchet tree, computed by the service. Absent = it is in the GroupInfo, or unknown. */
  readonly tree?: Uint8Array | undefined;
  /** The service has checked the GroupInfo and the whole tree. */
  readonly isChecked: boolean;
  /** Its GroupContext follows from public commits since a context that the service proved. */
  readonly isProven: boolean;
}

/** The public state of a group that a commit is checked against. */
export interface GroupState {
  readonly info: GroupInfoFrame;
  /** `undefined` = the service does not know the cipher suite. */
  readonly suite: Suite | undefined;
  readonly tree: RatchetTree;
  readonly isChecked: boolean;
  readonly isProven: boolean;
}

/**
 * Reads a stored group.
 * @param maxTreeBytes a larger tree is not read
 * @returns `undefined` if there is no tree of this size
 */
export function readStoredGroup(stored: StoredGroup, maxTreeBytes: number): GroupState | undefined {
  const info = parseFrame(stored.groupInfo);
  if (info instanceof FrameError || info.wireFormat !== 'group_info') return undefined;
  const bytes = stored.tree ?? treeBytes(info);
  if (bytes === undefined || bytes.length > maxTreeBytes) return undefined;
  const tree = readRatchetTree(bytes);
  const { isChecked } = stored;
  // At epoch 0 a group is its creator alone, and its context follows from nothing (RFC 9420 §11).
  const isNew = stored.epoch === 0 && tree.leaves.filter((leaf) => leaf !== undefined).length === 1;
  return { info, suite: suiteOf(info.cipherSuite), tree, isChecked, isProven: stored.isProven || (isNew && isChecked) };
}

/** The owner of a leaf, and its key. */
interface LeafOwner {
  readonly user: string;
  readonly signatureKey: Uint8Array;
}

/** The part of a stored group that proposals are checked against. Plain data, far smaller than the tree. */
export interface EpochFacts {
  readonly cipherSuite: number;
  /** The GroupContext, which is part of what a member signs. */
  readonly context: Uint8Array;
  /** By leaf index. `null` = a blank leaf, or one that names no user. */
  readonly users: readonly (string | null)[];
  /** The signature keys of all leaves in one block: thousands of objects would take long on their way between threads. */
  readonly keys: Uint8Array;
  /** By leaf index: where its key ends in {@link keys}. */
  readonly keyEnds: readonly number[];
  readonly isProven: boolean;
}

/** Reads what proposals of an epoch are checked against. @returns `undefined` as {@link readStoredGroup} */
export function readEpochFacts(stored: StoredGroup, maxTreeBytes: number): EpochFacts | undefined {
  const state = readStoredGroup(stored, maxTreeBytes);
  if (state === undefined) return undefined;
  const { info, tree, isProven } = state;
  const last = tree.leaves.findLastIndex((leaf) => leaf !== undefined);
  const leaves = tree.leaves.slice(0, last + 1);
  const users = leaves.map((leaf) => (leaf === undefined ? null : (userOf(leaf) ?? null)));
  // Copies: a view would take the whole GroupInfo along to another thread.
  const keys = Buffer.concat(leaves.map((leaf) => leaf?.signatureKey ?? new Uint8Array()));
  let end = 0;
  const keyEnds = leaves.map((leaf) => (end += leaf?.signatureKey.length ?? 0));
  return { cipherSuite: info.cipherSuite, context: Uint8Array.from(info.context), users, keys, keyEnds, isProven };
}

/** The owner of a leaf. `undefined` = the leaf does not exist, is blank, or names no user. */
export function ownerAt({ users, keys, keyEnds }: EpochFacts, leafIndex: number): LeafOwner | undefined {
  const user = users[leafIndex];
  if (user === undefined || user === null) return undefined;
  return { user, signatureKey: keys.subarray(leafIndex === 0 ? 0 : keyEnds[leafIndex - 1], keyEnds[leafIndex]) };
}
