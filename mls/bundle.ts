import type { MembershipChange } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { type ExternalCommit, type PublicCommit, readExternalCommit } from './external-commit.ts';
import type { GroupInfoFrame, KeyPackage, WelcomeFrame } from './frame.ts';
import { type CheckedGroupInfo, type CommitFrame, parseGroupInfo, parseWelcome } from './framing.ts';
import { checkTree, hasExternalKey, readTree } from './group-info.ts';
import type { Group } from './group.ts';
import { keyPackageRef } from './key-package-ref.ts';
import { type Leaves, userOf } from './tree.ts';

/** The parts that a request sends with a commit, and the users that it adds and removes. */
export interface BundleParts {
  readonly welcome?: Buffer | undefined;
  readonly groupInfo?: Buffer | undefined;
  readonly adds?: readonly string[] | undefined;
  readonly removes?: readonly string[] | undefined;
}

/** The parsed parts of a commit bundle in an `mls` conversation. */
export interface Bundle {
  /** Absent = the commit is a PrivateMessage, which the service cannot read. */
  readonly commit: PublicCommit | undefined;
  /** Absent = the sender is a member. */
  readonly external: ExternalCommit | undefined;
  readonly welcome: WelcomeFrame | undefined;
  readonly groupInfo: CheckedGroupInfo | undefined;
  /** Leaves of the ratchet tree in the GroupInfo. Absent = no tree, or a tree above the size limit. */
  readonly leaves: Leaves | undefined;
}

/** Facts that the deciding transaction compares with claimed key packages and with the member list. */
export type BundleFacts = Pick<MembershipChange, 'welcomeRefs' | 'consumedRefs' | 'usersInTree'>;

/**
 * Parses all parts of a commit bundle. The checks in {@link checkBundle} run only after every part has parsed.
 * @param maxTreeBytes the service reads ratchet trees up to this size
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
  // The next external commit is checked against this tree, so the service reads it at any size.
  const limit = external === undefined ? maxTreeBytes : Infinity;
  const leaves = infoFrame === undefined ? undefined : readTree(infoFrame, limit);
  return { commit, external, welcome: welcomeFrame, groupInfo: infoFrame, leaves };
}

/**
 * Checks the parts of a bundle against each other and against the users that the request adds.
 * @param epoch the epoch that the commit ends
 * @param user the caller
 * @throws AppError `welcome-mismatch`, `group-info-mismatch`, `membership-mismatch`, `identity-mismatch`
 */
export async function checkBundle(
  bundle: Bundle,
  { adds = [], removes = [] }: BundleParts,
  { epoch, user }: { readonly epoch: number; readonly user: string },
): Promise<BundleFacts> {
  const { commit, external, welcome, groupInfo, leaves } = bundle;
  if (external !== undefined && adds.length + removes.length > 0) {
    throw new AppError(
      'membership-mismatch',
      'An external commit adds only its sender: adds and removes must be empty',
    );
  }
  if (external !== undefined && welcome !== undefined) {
    throw new AppError('welcome-mismatch', 'An external commit must not have a Welcome');
  }
  if (external !== undefined && groupInfo !== undefined && (leaves === undefined || !hasExternalKey(groupInfo))) {
    // Without these two, the next device cannot join until a member sends another commit with a complete GroupInfo.
    throw new AppError(
      'group-info-mismatch',
      'The GroupInfo of an external commit must contain the ratchet tree and external_pub',
    );
  }
  const refs = welcome === undefined ? undefined : refsIn(welcome);
  if (groupInfo !== undefined && groupInfo.epoch !== epoch + 1) {
    throw new AppError('group-info-mismatch', `The GroupInfo must be for epoch ${epoch + 1}`);
  }
  if (groupInfo !== undefined && welcome !== undefined && groupInfo.cipherSuite !== welcome.cipherSuite) {
    throw new AppError('welcome-mismatch', 'The Welcome and the GroupInfo use different cipher suites');
  }
  const consumedRefs = commit === undefined ? [] : checkPublicCommit(commit, { adds, refs, groupInfo, user });
  const tree = groupInfo === undefined || leaves === undefined ? undefined : await checkTree(groupInfo, leaves);
  return {
    ...(refs === undefined ? {} : { welcomeRefs: refs }),
    ...(refs !== undefined || consumedRefs.length === 0 ? {} : { consumedRefs }),
    ...(tree === undefined ? {} : { usersInTree: tree.users }),
  };
}

function refsIn({ newMembers }: WelcomeFrame): string[] {
  const refs = newMembers.map((ref) => Buffer.from(ref).toString('hex'));
  if (new Set(refs).size < refs.length) {
    throw new AppError('welcome-mismatch', 'The Welcome names the same key package twice');
  }
  return refs;
}

/**
 * Checks a public commit against the other parts of its bundle.
 * @returns KeyPackageRefs of the key packages that the commit adds; unknown cipher suites give none
 */
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
    throw new AppError('identity-mismatch', 'The leaf in the path of the commit must belong to you');
  }
  if (groupInfo !== undefined && !bytesEqual(confirmationTag, groupInfo.confirmationTag)) {
    throw new AppError('group-info-mismatch', 'The commit and the GroupInfo have different confirmation tags');
  }
  const added = proposals.flatMap((proposal) => (proposal.type === 'add' ? [proposal.keyPackage] : []));
  const users = new Set(added.map(userOfPackage));
  for (const user of users) {
    if (user === undefined || !adds.includes(user)) {
      throw new AppError('membership-mismatch', 'The commit adds a user who is not in adds');
    }
  }
  // A commit can include Add proposals by reference. Their content is not in the commit.
  const hasAllProposals = proposals.every(({ type }) => type !== 'reference');
  if (hasAllProposals && adds.some((user) => !users.has(user))) {
    throw new AppError('membership-mismatch', 'The commit does not add every user in adds');
  }
  const addedRefs = added.map(keyPackageRef);
  if (refs !== undefined && addedRefs.some((ref) => ref !== undefined && !refs.includes(ref))) {
    throw new AppError('welcome-mismatch', 'The commit adds a key package that the Welcome does not name');
  }
  const knownRefs = addedRefs.filter((ref) => ref !== undefined);
  const hasAllRefs = hasAllProposals && knownRefs.length === addedRefs.length;
  if (refs !== undefined && hasAllRefs && refs.some((ref) => !knownRefs.includes(ref))) {
    throw new AppError('welcome-mismatch', 'The Welcome names a key package that the commit does not add');
  }
  return knownRefs;
}

function userOfPackage({ leaf }: KeyPackage): string | undefined {
  return userOf(leaf);
}

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
