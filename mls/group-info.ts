import { AppError } from '../domain/errors.ts';
import type { LeafNode } from './frame.ts';
import type { CheckedGroupInfo } from './framing.ts';
import { checkExternalPub } from './external-pub.ts';
import { leafName } from './leaf-changes.ts';
import { type LeafBatch, leafBatches, refuseBadLeaf } from './leaf-signatures.ts';
import { canVerify, verifySignatureNow } from './signature.ts';
import type { GroupState } from './stored-group.ts';
import { type Suite, suiteOf } from './suite.ts';
import { userOf, whyNoUser } from './tree.ts';
import { areParentHashesValid } from './tree/parent-hash.ts';
import type { RatchetTree } from './tree/ratchet-tree.ts';
import { type TreeHashes, rootHash, treeHashes } from './tree/tree-hash.ts';
import { areUnmergedLeavesValid } from './tree/unmerged-leaves.ts';

/** What a GroupInfo lacks. A policy may require that it lacks nothing. */
export type Lack = 'ratchet_tree' | 'external_pub' | 'cipher_suite';

/** What the service knows about a GroupInfo after its checks. Plain data. */
export interface GroupInfoFacts {
  readonly epoch: number;
  /** Set when the service has checked the GroupInfo and its whole tree. */
  readonly cipherSuite?: number;
  /** Absent = it lacks nothing. */
  readonly lacks?: readonly Lack[];
  /** Users who have leaves in its ratchet tree; each once, sorted. Absent = there is no tree. */
  readonly usersInTree?: readonly string[];
  /** The name of the caller's leaf that signed it (leaf-changes.ts). Absent = the signature could not be verified. */
  readonly signerLeaf?: string;
  /** Leaves above the limit of signatures. Their verification is left to the caller. */
  readonly leavesToVerify?: readonly LeafBatch[];
}

export interface GroupInfoChecks {
  /** The tree in the GroupInfo, or the one that the service computed. */
  readonly tree: RatchetTree | undefined;
  /** The caller. */
  readonly user: string;
  /** The group before or at this epoch: leaves that were checked there are not verified again. */
  readonly known?: GroupState | undefined;
  /** The GroupInfo comes with the creation of the conversation. */
  readonly isNewGroup?: boolean;
  /** Leaf signatures that are verified at once, and in each batch of the rest. @default all at once */
  readonly maxLeafSignatures?: number | undefined;
}

/**
 * Checks a GroupInfo as somebody who joins does (RFC 9420 §12.4.3.1), as far as it needs no secrets: a leaf of the caller
 * signed it, each leaf names a user and has keys of its own and a valid signature, tree hash and parent hashes are right.
 * Not checked, because only members can: the confirmation tag, and whether `external_pub` fits the external secret.
 * @throws AppError `malformed`, `group-info-mismatch`, `membership-mismatch`, `identity-mismatch`
 */
export function checkGroupInfo(info: CheckedGroupInfo, checks: GroupInfoChecks): GroupInfoFacts {
  const { epoch, cipherSuite } = info;
  const { tree, user, known, isNewGroup = false, maxLeafSignatures = Infinity } = checks;
  const suite = suiteOf(cipherSuite);
  const lacks: Lack[] = [];
  if (epoch === 0 && info.confirmedTranscriptHash.length > 0) {
    throw new AppError('group-info-mismatch', 'At epoch 0 the confirmed transcript hash must be empty');
  }
  if (suite !== undefined && !checkExternalPub(info, suite, isNewGroup)) lacks.push('external_pub');
  if (tree === undefined) return { epoch, lacks: [...lacks, 'ratchet_tree'] };
  checkSigner(info, tree);
  const usersInTree = usersOf(tree);
  if (ownerOfSigner(info, tree) !== user) {
    throw new AppError('identity-mismatch', 'The GroupInfo must be signed by a leaf of yours');
  }
  if (suite === undefined || !canVerify(cipherSuite)) return { epoch, lacks: [...lacks, 'cipher_suite'], usersInTree };
  checkTree(info, tree, suite);
  const fresh = freshLeaves(info, tree, known);
  for (const [leafIndex, leaf] of fresh.slice(0, maxLeafSignatures)) refuseBadLeaf(leaf, { ...info, leafIndex });
  const leavesToVerify = leafBatches(fresh.slice(maxLeafSignatures), info, maxLeafSignatures);
  return {
    epoch,
    cipherSuite,
    ...(lacks.length === 0 ? {} : { lacks }),
    usersInTree,
    ...signerLeaf(info, tree),
    ...(leavesToVerify.length === 0 ? {} : { leavesToVerify }),
  };
}

function ownerOfSigner({ signer }: CheckedGroupInfo, { leaves }: RatchetTree): string | undefined {
  const leaf = leaves[signer];
  return leaf === undefined ? undefined : userOf(leaf);
}

function signerLeaf({ signer }: CheckedGroupInfo, { leaves }: RatchetTree): Pick<GroupInfoFacts, 'signerLeaf'> {
  const leaf = leaves[signer];
  return leaf === undefined ? {} : { signerLeaf: leafName(leaf) };
}

function checkSigner(info: CheckedGroupInfo, { leaves }: RatchetTree): void {
  const { cipherSuite, signed: content, signature } = info;
  const signer = leaves[info.signer];
  if (signer === undefined) {
    throw new AppError('group-info-mismatch', 'The leaf that signed the GroupInfo is not in its ratchet tree');
  }
  const verdict = verifySignatureNow('GroupInfoTBS', {
    cipherSuite,
    publicKey: signer.signatureKey,
    content,
    signature,
  });
  if (verdict === 'invalid') throw new AppError('group-info-mismatch', 'The signature of the GroupInfo is not valid');
}

/** Checks what follows from the nodes of the tree alone. */
function checkTree({ treeHash }: CheckedGroupInfo, tree: RatchetTree, suite: Suite): void {
  const hashes = treeHashes(tree, suite);
  if (!rootHash(tree, hashes).equals(treeHash)) {
    throw new AppError('group-info-mismatch', 'The ratchet tree does not have the tree hash of the GroupInfo');
  }
  checkParents(tree, hashes, suite);
}

function checkParents(tree: RatchetTree, hashes: TreeHashes, suite: Suite): void {
  if (!areUnmergedLeavesValid(tree)) {
    throw new AppError('group-info-mismatch', 'A list of unmerged leaves in the ratchet tree is not right');
  }
  // The encryption key of a parent must not be that of another node (RFC 9420 §12.4.3.1).
  const nodes = [...tree.leaves, ...tree.parents].filter((node) => node !== undefined);
  if (new Set(nodes.map(({ encryptionKey }) => keyOf(encryptionKey))).size < nodes.length) {
    throw new AppError('group-info-mismatch', 'Two nodes of the ratchet tree have the same key');
  }
  if (!areParentHashesValid(tree, hashes, suite)) {
    throw new AppError('group-info-mismatch', 'A parent hash in the ratchet tree is not right');
  }
}

/** The leaves whose signatures nobody has verified. */
function freshLeaves(
  { cipherSuite }: CheckedGroupInfo,
  { leaves }: RatchetTree,
  known: GroupState | undefined,
): (readonly [leafIndex: number, leaf: LeafNode])[] {
  const trusted = known?.isChecked === true && known.info.cipherSuite === cipherSuite ? known.tree.leaves : [];
  return leaves.flatMap((leaf, leafIndex) =>
    leaf === undefined || isSame(trusted[leafIndex], leaf) ? [] : [[leafIndex, leaf] as const],
  );
}

function isSame(one: LeafNode | undefined, other: LeafNode): boolean {
  return one !== undefined && Buffer.compare(one.bytes, other.bytes) === 0;
}

function usersOf({ leaves }: RatchetTree): string[] {
  const users = new Set<string>();
  // Each signature key and each encryption key must be unique in the group (RFC 9420 §7.3).
  const keys = [new Set<string>(), new Set<string>()] as const;
  let count = 0;
  for (const leaf of leaves) {
    if (leaf === undefined) continue;
    count++;
    const user = userOf(leaf);
    if (user === undefined) throw new AppError('membership-mismatch', `A leaf of the ratchet tree ${whyNoUser(leaf)}`);
    users.add(user);
    keys[0].add(keyOf(leaf.signatureKey));
    keys[1].add(keyOf(leaf.encryptionKey));
  }
  if (keys.some(({ size }) => size < count)) {
    throw new AppError('membership-mismatch', 'Two leaves of the ratchet tree have the same key');
  }
  return [...users].sort();
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
