import type { MembershipChange } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { GroupInfoFrame, KeyPackage, WelcomeFrame } from './frame.ts';
import { type ExternalCommit, type PublicCommit, readExternalCommit } from './external-commit.ts';
import { checkTree, hasExternalKey, readTree } from './group-info.ts';
import { keyPackageRef } from './key-package-ref.ts';
import { leavesAfter, lossesOf, sameLeaves } from './next-tree.ts';
import { type Leaves, type StoredTree, userOf } from './tree.ts';
import { type CheckedGroupInfo, type CommitFrame, parseGroupInfo, parseWelcome } from './framing.ts';
import type { Group } from './group.ts';

/** The bytes that go with a commit, and whom it is said to add. */
export interface BundleParts {
  readonly welcome?: Buffer | undefined;
  readonly groupInfo?: Buffer | undefined;
  readonly adds?: readonly string[] | undefined;
  readonly removes?: readonly string[] | undefined;
}

/** A commit of an `mls` conversation with its parts, each parsed as a whole. */
export interface Bundle {
  /** The commit, where it can be read. */
  readonly commit: PublicCommit | undefined;
  readonly external: ExternalCommit | undefined;
  readonly welcome: WelcomeFrame | undefined;
  readonly groupInfo: CheckedGroupInfo | undefined;
  /** Of the GroupInfo's tree, if that came and is not too large to be looked at. */
  readonly leaves: Leaves | undefined;
}

/** What the deciding transaction holds against key packages and members. */
export type BundleFacts = Pick<MembershipChange, 'welcomeRefs' | 'consumedRefs' | 'usersInTree'>;

/** What it holds against roles and policy, where the tree of the epoch that ends is known. */
export type RemovalFacts = Pick<MembershipChange, 'usersLosingSomeLeaves' | 'usersLosingAllLeaves'>;

/**
 * Parses the parts that go with a commit. No part is judged before all of them are well formed.
 * @param maxTreeBytes size up to which the ratchet tree is looked at
 * @throws AppError `malformed`, `wrong-group`, `welcome-mismatch`, `group-info-mismatch`, `epoch-ahead`
 */
export function parseBundle(
  group: Group,
  frame: CommitFrame,
  { welcome, groupInfo }: BundleParts,
  maxTreeBytes: number,
): Bundle {
  const commit = frame.wireFormat === 'public_message' ? frame : undefined;
  const external = commit?.sender.type === 'new_member_commit' ? readExternalCommit(commit) : undefined;
  const welcomeFrame = welcome === undefined ? undefined : parseWelcome(group, welcome);
  const infoFrame = groupInfo === undefined ? undefined : parseGroupInfo(group, groupInfo);
  // What an external commit brings is what the next one is held against: it is looked at whatever its size.
  const limit = external === undefined ? maxTreeBytes : Infinity;
  const leaves = infoFrame === undefined ? undefined : readTree(infoFrame, limit);
  return { commit, external, welcome: welcomeFrame, groupInfo: infoFrame, leaves };
}

/**
 * Checks the parts of a bundle against one another and against whom the request says it adds.
 * @throws AppError `welcome-mismatch`, `group-info-mismatch`, `membership-mismatch`, `identity-mismatch`
 */
export async function checkBundle(
  bundle: Bundle,
  { adds = [], removes = [] }: BundleParts,
  { epoch, user }: { readonly epoch: number; readonly user: string },
): Promise<BundleFacts> {
  const { commit, external, welcome, groupInfo, leaves } = bundle;
  if (external !== undefined && adds.length + removes.length > 0) {
    throw new AppError('membership-mismatch', 'An external commit adds its sender and nobody else');
  }
  if (external !== undefined && welcome !== undefined) {
    throw new AppError('welcome-mismatch', 'An external commit has no Welcome');
  }
  if (external !== undefined && groupInfo !== undefined && (leaves === undefined || !hasExternalKey(groupInfo))) {
    // Else the next device could not join: nobody but a member could supply another one, and only with a commit.
    throw new AppError(
      'group-info-mismatch',
      'The GroupInfo of an external commit must have the ratchet tree and external_pub',
    );
  }
  const refs = welcome === undefined ? undefined : refsOf(welcome);
  if (groupInfo !== undefined && groupInfo.epoch !== epoch + 1) {
    throw new AppError('group-info-mismatch', `The GroupInfo must be of epoch ${epoch + 1}`);
  }
  if (groupInfo !== undefined && welcome !== undefined && groupInfo.cipherSuite !== welcome.cipherSuite) {
    throw new AppError('welcome-mismatch', 'The Welcome and the GroupInfo are of different cipher suites');
  }
  const uses = commit === undefined ? [] : checkPublicCommit(commit, { adds, refs, groupInfo, user });
  const tree = groupInfo === undefined || leaves === undefined ? undefined : await checkTree(groupInfo, leaves);
  return {
    ...(refs === undefined ? {} : { welcomeRefs: refs }),
    ...(refs !== undefined || uses.length === 0 ? {} : { consumedRefs: uses }),
    ...(tree === undefined ? {} : { usersInTree: tree.users }),
  };
}

/**
 * Holds a PublicMessage against the tree of the epoch that it ends: who sent it, whose leaves it removes, and whether the
 * tree that came with it is the one to which it leads.
 * @returns users who lose leaves without standing in `removes`
 * @throws AppError `identity-mismatch`, `group-info-mismatch`, `membership-mismatch`
 */
export function checkAgainstTree(
  { commit, groupInfo, leaves }: Bundle,
  { removes = [] }: BundleParts,
  stored: StoredTree,
  user: string,
): RemovalFacts {
  if (commit === undefined) return {};
  if (groupInfo !== undefined && groupInfo.cipherSuite !== stored.cipherSuite) {
    throw new AppError('group-info-mismatch', 'The GroupInfo is of another cipher suite than the group');
  }
  if (commit.sender.type === 'member') {
    checkSender(stored, commit.sender.leafIndex, user);
  }
  const { trimmed, dropped } = lossesOf(stored.leaves, commit, user);
  const next = leavesAfter(stored.leaves, commit);
  if (next !== undefined && leaves !== undefined && !sameLeaves(next, leaves)) {
    throw new AppError('group-info-mismatch', 'The tree of the GroupInfo is not the one to which the commit leads');
  }
  // Removals by reference are not in it.
  if (next?.some((leaf) => leaf !== undefined && removes.includes(userOf(leaf) ?? '')) === true) {
    throw new AppError('membership-mismatch', 'The commit leaves a leaf of somebody whom the request removes');
  }
  const unnamed = dropped.filter((one) => !removes.includes(one));
  return {
    ...(trimmed.length === 0 ? {} : { usersLosingSomeLeaves: trimmed }),
    ...(unnamed.length === 0 ? {} : { usersLosingAllLeaves: unnamed }),
  };
}

/** Checks that a leaf is the caller's own. @throws AppError `identity-mismatch` */
export function checkSender({ leaves }: StoredTree, leafIndex: number, user: string): void {
  const sender = leaves[leafIndex];
  if (sender === undefined || userOf(sender) !== user) {
    throw new AppError('identity-mismatch', 'The leaf that sent this is not your own');
  }
}

function refsOf({ newMembers }: WelcomeFrame): string[] {
  const refs = newMembers.map((ref) => Buffer.from(ref).toString('hex'));
  if (new Set(refs).size < refs.length) throw new AppError('welcome-mismatch', 'The Welcome names a key package twice');
  return refs;
}

/** @returns KeyPackageRefs of those it adds, where the suite is known */
function checkPublicCommit(
  { confirmationTag, path, proposals }: PublicCommit,
  request: {
    readonly adds: readonly string[];
    readonly refs: readonly string[] | undefined;
    readonly groupInfo: GroupInfoFrame | undefined;
    readonly user: string;
  },
): string[] {
  const { adds, refs, groupInfo, user } = request;
  if (path !== undefined && userOf(path) !== user) {
    throw new AppError('identity-mismatch', 'The leaf in the path of the commit must be your own');
  }
  if (groupInfo !== undefined && !bytesEqual(confirmationTag, groupInfo.confirmationTag)) {
    throw new AppError('group-info-mismatch', 'The confirmation tags of the commit and the GroupInfo differ');
  }
  const added = proposals.flatMap((proposal) => (proposal.type === 'add' ? [proposal.keyPackage] : []));
  const users = new Set(added.map(userOfPackage));
  for (const user of users) {
    if (user === undefined || !adds.includes(user)) {
      throw new AppError('membership-mismatch', 'The commit adds somebody whom the request does not name');
    }
  }
  // Adds by reference are not in it.
  const isWhole = proposals.every(({ type }) => type !== 'reference');
  if (isWhole && adds.some((user) => !users.has(user))) {
    throw new AppError('membership-mismatch', 'The request names somebody whom the commit does not add');
  }
  const uses = added.map(keyPackageRef);
  if (refs !== undefined && uses.some((ref) => ref !== undefined && !refs.includes(ref))) {
    throw new AppError('welcome-mismatch', 'The commit adds a key package that the Welcome does not name');
  }
  const known = uses.filter((ref) => ref !== undefined);
  if (refs !== undefined && isWhole && known.length === uses.length && refs.some((ref) => !known.includes(ref))) {
    throw new AppError('welcome-mismatch', 'The Welcome names a key package that the commit does not add');
  }
  return known;
}

function userOfPackage({ leaf }: KeyPackage): string | undefined {
  return userOf(leaf);
}

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
