import { AppError } from '../../domain/errors.ts';
import type { GroupInfoFrame, KeyPackage, WelcomeFrame } from '../../domain/frame.ts';
import { type ExternalCommit, type PublicCommit, joiningIndex, readExternalCommit } from '../mls/external-commit.ts';
import { checkTree, readTree } from '../mls/group-info.ts';
import { keyPackageRef } from '../mls/key-package-ref.ts';
import { type Leaves, type StoredTree, userOf } from '../mls/tree.ts';
import { type CheckedGroupInfo, type CommitFrame, parseGroupInfo, parseWelcome } from './frames.ts';
import type { Known } from './known.ts';

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
export interface BundleFacts {
  readonly refs?: readonly string[];
  readonly leaves?: readonly string[];
}

/**
 * Parses the parts that go with a commit. No part is judged before all of them are well formed.
 * @param maxTreeBytes size up to which the ratchet tree is looked at
 * @throws AppError `malformed`, `wrong-group`, `welcome-mismatch`, `group-info-mismatch`, `epoch-ahead`
 */
export function parseBundle(
  conversation: Known,
  frame: CommitFrame,
  { welcome, groupInfo }: BundleParts,
  maxTreeBytes: number,
): Bundle {
  const commit = frame.wireFormat === 'public_message' ? frame : undefined;
  const external = commit?.sender.type === 'new_member_commit' ? readExternalCommit(commit) : undefined;
  const welcomeFrame = welcome === undefined ? undefined : parseWelcome(conversation, welcome);
  const infoFrame = groupInfo === undefined ? undefined : parseGroupInfo(conversation, groupInfo);
  const leaves = infoFrame === undefined ? undefined : readTree(infoFrame, maxTreeBytes);
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
  const refs = welcome === undefined ? undefined : refsOf(welcome);
  if (groupInfo !== undefined && groupInfo.epoch !== epoch + 1) {
    throw new AppError('group-info-mismatch', `The GroupInfo must be of epoch ${epoch + 1}`);
  }
  if (groupInfo !== undefined && welcome !== undefined && groupInfo.cipherSuite !== welcome.cipherSuite) {
    throw new AppError('welcome-mismatch', 'The Welcome and the GroupInfo are of different cipher suites');
  }
  if (commit !== undefined) checkPublicCommit(commit, { adds, refs, groupInfo, user });
  const tree = groupInfo === undefined || leaves === undefined ? undefined : await checkTree(groupInfo, leaves);
  return { ...(refs === undefined ? {} : { refs }), ...(tree === undefined ? {} : { leaves: tree.users }) };
}

/**
 * Checks who sent a PublicMessage, in the tree of the epoch that it ends.
 * @throws AppError `identity-mismatch`, `group-info-mismatch`
 */
export function checkSender({ commit, external, groupInfo, leaves }: Bundle, stored: StoredTree, user: string): void {
  if (groupInfo !== undefined && groupInfo.cipherSuite !== stored.cipherSuite) {
    throw new AppError('group-info-mismatch', 'The GroupInfo is of another cipher suite than the group');
  }
  if (external !== undefined) {
    const own = leaves?.[joiningIndex(stored.leaves, external.removed)];
    if (leaves !== undefined && (own === undefined || !bytesEqual(own.signatureKey, external.path.signatureKey))) {
      throw new AppError('group-info-mismatch', 'The tree of the GroupInfo does not hold the leaf that joins');
    }
    return;
  }
  if (commit?.sender.type !== 'member') return;
  const sender = stored.leaves[commit.sender.leafIndex];
  if (sender === undefined || userOf(sender) !== user) {
    throw new AppError('identity-mismatch', 'The leaf that sent the commit is not your own');
  }
}

function refsOf({ newMembers }: WelcomeFrame): string[] {
  const refs = newMembers.map((ref) => Buffer.from(ref).toString('hex'));
  if (new Set(refs).size < refs.length) throw new AppError('welcome-mismatch', 'The Welcome names a key package twice');
  return refs;
}

function checkPublicCommit(
  { confirmationTag, path, proposals }: PublicCommit,
  request: {
    readonly adds: readonly string[];
    readonly refs: readonly string[] | undefined;
    readonly groupInfo: GroupInfoFrame | undefined;
    readonly user: string;
  },
): void {
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
  if (refs === undefined) return;
  for (const keyPackage of added) {
    const ref = keyPackageRef(keyPackage);
    if (ref !== undefined && !refs.includes(ref)) {
      throw new AppError('welcome-mismatch', 'The commit adds a key package that the Welcome does not name');
    }
  }
}

function userOfPackage({ leaf }: KeyPackage): string | undefined {
  return userOf(leaf);
}

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
