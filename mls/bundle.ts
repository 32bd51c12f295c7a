import { AppError } from '../domain/errors.ts';
import { type ExternalCommit, type PublicCommit, readExternalCommit } from './external-commit.ts';
import { hasExternalPub } from './external-pub.ts';
import type { GroupInfoFrame, KeyPackage, WelcomeFrame } from './frame.ts';
import { type CheckedGroupInfo, type CommitFrame, parseGroupInfo, parseWelcome } from './framing.ts';
import type { Group } from './group.ts';
import { keyPackageRef } from './key-package-ref.ts';
import { treeBytes, userOf, whyNoUser } from './tree.ts';
import { asBuffer } from './vector.ts';
import { type RatchetTree, readRatchetTree } from './tree/ratchet-tree.ts';

/** The parts that a request sends with a commit, and the users that it adds and removes. */
export interface BundleParts {
  readonly welcome?: Uint8Array | undefined;
  readonly groupInfo?: Uint8Array | undefined;
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
  /** The ratchet tree in the GroupInfo. Absent = no tree, or a tree above the size limit. */
  readonly tree: RatchetTree | undefined;
}

/** What the parts of a bundle say together. */
export interface BundleFacts {
  /** KeyPackageRefs that the Welcome names, as lower-case hex. */
  readonly welcomeRefs?: readonly string[];
  /** KeyPackageRefs that a public commit without a Welcome adds, as lower-case hex. */
  readonly consumedRefs?: readonly string[];
  /** Cipher suite of the parts. Absent = no part says it. */
  readonly cipherSuite?: number;
}

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
  const welcomeFrame = welcome === undefined ? undefined : parseWelcome(group, asBuffer(welcome));
  const infoFrame = groupInfo === undefined ? undefined : parseGroupInfo(group, asBuffer(groupInfo));
  // The next external commit is checked against this tree, so the service reads it at any size.
  const limit = external === undefined ? maxTreeBytes : Infinity;
  const bytes = infoFrame === undefined ? undefined : treeBytes(infoFrame);
  const tree = bytes === undefined || bytes.length > limit ? undefined : readRatchetTree(bytes);
  return { commit, external, welcome: welcomeFrame, groupInfo: infoFrame, tree };
}

/**
 * Checks the parts of a bundle against each other and against the users that the request adds.
 * @param epoch the epoch that the commit ends
 * @param user the caller
 * @throws AppError `welcome-mismatch`, `group-info-mismatch`, `membership-mismatch`, `identity-mismatch`
 */
export function checkBundle(
  bundle: Bundle,
  { adds = [], removes = [] }: BundleParts,
  { epoch, user }: { readonly epoch: number; readonly user: string },
): BundleFacts {
  const { commit, external, welcome, groupInfo, tree } = bundle;
  if (external !== undefined && adds.length + removes.length > 0) {
    throw new AppError(
      'membership-mismatch',
      'An external commit adds only its sender: adds and removes must be empty',
    );
  }
  if (external !== undefined && welcome !== undefined) {
    throw new AppError('welcome-mismatch', 'An external commit must not have a Welcome');
  }
  if (external !== undefined && groupInfo !== undefined && (tree === undefined || !hasExternalPub(groupInfo))) {
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
  const cipherSuite = suiteOfAll(bundle);
  const consumedRefs = commit === undefined ? [] : checkPublicCommit(commit, { adds, refs, groupInfo, user });
  return {
    ...(refs === undefined ? {} : { welcomeRefs: refs }),
    ...(refs !== undefined || consumedRefs.length === 0 ? {} : { consumedRefs }),
    ...(cipherSuite === undefined ? {} : { cipherSuite }),
  };
}

/** The one cipher suite of GroupInfo, Welcome and added key packages. @throws AppError if they differ */
function suiteOfAll({ commit, welcome, groupInfo }: Bundle): number | undefined {
  const suite = groupInfo?.cipherSuite ?? welcome?.cipherSuite;
  if (groupInfo !== undefined && welcome !== undefined && groupInfo.cipherSuite !== welcome.cipherSuite) {
    throw new AppError('welcome-mismatch', 'The Welcome and the GroupInfo use different cipher suites');
  }
  const added = new Set(
    (commit?.proposals ?? []).flatMap((one) => (one.type === 'add' ? [one.keyPackage] : [])).map(suiteOfPackage),
  );
  const [first, second] = added;
  if (second !== undefined || (first !== undefined && suite !== undefined && first !== suite)) {
    throw new AppError('membership-mismatch', 'The commit adds a key package of another cipher suite');
  }
  return suite ?? first;
}

function suiteOfPackage({ cipherSuite }: KeyPackage): number {
  return cipherSuite;
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
  for (const leaf of [path, ...proposals.map((one) => (one.type === 'add' ? one.keyPackage.leaf : undefined))]) {
    if (leaf !== undefined && leaf.identity === undefined) {
      throw new AppError('identity-mismatch', `A leaf of the commit ${whyNoUser(leaf)}`);
    }
  }
  if (path !== undefined && userOf(path) !== user) {
    throw new AppError('identity-mismatch', 'The leaf in the path of the commit must belong to you');
  }
  if (groupInfo !== undefined && !bytesEqual(confirmationTag, groupInfo.confirmationTag)) {
    throw new AppError('group-info-mismatch', 'The commit and the GroupInfo have different confirmation tags');
  }
  const added = proposals.flatMap((proposal) => (proposal.type === 'add' ? [proposal.keyPackage] : []));
  const users = new Set(added.map(userOfPackage));
  const named = new Set(adds);
  for (const user of users) {
    if (user === undefined || !named.has(user)) {
      throw new AppError('membership-mismatch', 'The commit adds a user who is not in adds');
    }
  }
  // A commit can include Add proposals by reference. Their content is not in the commit.
  const hasAllProposals = proposals.every(({ type }) => type !== 'reference');
  if (hasAllProposals && adds.some((user) => !users.has(user))) {
    throw new AppError('membership-mismatch', 'The commit does not add every user in adds');
  }
  const addedRefs = added.map(keyPackageRef);
  const welcomed = new Set(refs);
  if (refs !== undefined && addedRefs.some((ref) => ref !== undefined && !welcomed.has(ref))) {
    throw new AppError('welcome-mismatch', 'The commit adds a key package that the Welcome does not name');
  }
  const knownRefs = addedRefs.filter((ref) => ref !== undefined);
  const known = new Set(knownRefs);
  const hasAllRefs = hasAllProposals && knownRefs.length === addedRefs.length;
  if (refs !== undefined && hasAllRefs && refs.some((ref) => !known.has(ref))) {
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
