import { AppError } from '../domain/errors.ts';
import { parseGroupInfo } from './framing.ts';
import { type GroupInfoFacts, checkGroupInfo } from './group-info.ts';
import { type GroupState, type StoredGroup, readStoredGroup } from './stored-group.ts';
import { treeBytes } from './tree.ts';
import { type RatchetTree, encodeRatchetTree, readRatchetTree } from './tree/ratchet-tree.ts';
import { rootHash, treeHashes } from './tree/tree-hash.ts';
import { asBuffer } from './vector.ts';

/** A GroupInfo that comes without a commit. Plain data: it travels to worker threads. */
export interface GroupInfoInput {
  readonly groupId: Uint8Array;
  /** The caller. */
  readonly user: string;
  readonly groupInfo: Uint8Array;
  /** The group that is stored. Absent = none. */
  readonly stored?: StoredGroup | undefined;
  /** The conversation does not exist yet. */
  readonly isNewGroup: boolean;
  /** The service reads ratchet trees up to this size. 0 = it reads none. */
  readonly maxTreeBytes: number;
  /** Leaf signatures to verify at once. The result names the rest. @default all */
  readonly maxLeafSignatures?: number;
}

/** What the service found out about a GroupInfo. */
export interface SuppliedGroupInfo extends GroupInfoFacts {
  /** Its context is a proven one. */
  readonly isContextProven?: true;
  /** Its ratchet tree, encoded: that of the stored GroupInfo of the same epoch, where this one has none. */
  readonly computedTree?: Uint8Array;
}

/**
 * Checks a GroupInfo of a new conversation, or one that a member supplies for the current epoch.
 * @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, `membership-mismatch`, `identity-mismatch`,
 * `epoch-ahead`
 */
export function checkSuppliedGroupInfo(input: GroupInfoInput): SuppliedGroupInfo {
  const { user, stored, isNewGroup, maxTreeBytes, maxLeafSignatures } = input;
  const group = { protocol: 'mls', groupId: asBuffer(input.groupId) } as const;
  const info = parseGroupInfo(group, asBuffer(input.groupInfo));
  // `undefined` is for opaque conversations.
  if (info === undefined) throw new AppError('malformed');
  const { epoch } = info;
  const bytes = treeBytes(info);
  if (maxTreeBytes === 0) return { epoch };
  const state = stored?.epoch === epoch ? readStoredGroup(stored, maxTreeBytes) : undefined;
  const isReadable = bytes !== undefined && bytes.length <= maxTreeBytes;
  const shared = bytes === undefined ? sharedTree(state, info.treeHash) : undefined;
  const tree = isReadable ? readRatchetTree(bytes) : shared;
  const facts = checkGroupInfo(info, { tree, user, known: state, isNewGroup, maxLeafSignatures });
  if (state?.isProven === true && Buffer.compare(state.info.context, info.context) !== 0) {
    throw new AppError('group-info-mismatch', 'The GroupInfo is not the state of the group in this epoch');
  }
  const isContextProven = state?.isProven === true && facts.cipherSuite !== undefined;
  return {
    ...facts,
    ...(isContextProven ? { isContextProven } : {}),
    ...(shared === undefined ? {} : { computedTree: encodeRatchetTree(shared) }),
  };
}

/** The stored tree of the same epoch, if it has this tree hash. */
function sharedTree(state: GroupState | undefined, treeHash: Uint8Array): RatchetTree | undefined {
  if (state?.suite === undefined) return undefined;
  const { tree, suite } = state;
  return rootHash(tree, treeHashes(tree, suite)).equals(treeHash) ? tree : undefined;
}
