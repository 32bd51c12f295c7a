import type { CiphersuiteImpl, ClientState, KeyPackage, Proposal } from 'ts-mls';
import { createCommit, createGroupInfoWithExternalPubAndRatchetTree } from 'ts-mls';
import { leafWithKey, userOfCredential, usersByLeaf, wire } from '../mls/tree.ts';
import { committable, proposedRemovals } from './proposals.ts';
import type { CommitBundle } from '../api/types.ts';

/** What a commit is to do beside committing what is proposed; worked out anew for each state that it is built on. */
export type Change = readonly Proposal[];

/** Gives the change for a state, or `undefined` when nothing is left to do in it. */
export type Plan = (state: ClientState) => Change | undefined;

/** Fresh keys for the committer's own path (RFC 9420 §12.4). */
export const planUpdate: Plan = () => [];

/** Commits what others proposed, if there is anything. */
export const planPending: Plan = (state) => (Object.keys(committable(state)).length === 0 ? undefined : []);

/** Adds those of these devices that are not in the group yet (RFC 9420 §12.1.1). */
export function planAdd(keyPackages: readonly KeyPackage[]): Plan {
  return ({ ratchetTree }) => {
    const missing = keyPackages.filter(
      ({ leafNode }) => leafWithKey(ratchetTree, leafNode.signaturePublicKey) === undefined,
    );
    if (missing.length === 0) return undefined;
    return missing.map((keyPackage): Proposal => ({ proposalType: 'add', add: { keyPackage } }));
  };
}

/** Removes all devices of these users (RFC 9420 §12.1.3). */
export function planRemove(users: readonly string[]): Plan {
  return (state) => {
    const leaves = [...usersByLeaf(state)].filter(([, owner]) => users.includes(owner)).map(([leaf]) => leaf);
    return leaves.length === 0 ? undefined : leaves.map(toRemove);
  };
}

/** Removes one device. */
export function planRemoveDevice(signatureKey: Uint8Array): Plan {
  return ({ ratchetTree }) => {
    const leaf = leafWithKey(ratchetTree, signatureKey);
    return leaf === undefined ? undefined : [toRemove(leaf)];
  };
}

/** Removes one leaf. */
export function toRemove(removed: number): Proposal {
  return { proposalType: 'remove', remove: { removed } };
}

/** A commit as the service takes it, and what it leads to once it is accepted. */
export interface BuiltCommit {
  readonly bundle: CommitBundle;
  readonly newState: ClientState;
}

/** A commit of the change and of all that is proposed, with its Welcome and GroupInfo (RFC 9420 §12.4). */
export async function buildCommit(
  state: ClientState,
  change: Change,
  suite: CiphersuiteImpl,
  wireAsPublicMessage: boolean,
): Promise<BuiltCommit> {
  const removals = change.flatMap((proposal) => (proposal.proposalType === 'remove' ? [proposal.remove.removed] : []));
  const pending = committable(state, new Set(removals));
  // Two Removes of one leaf make the commit invalid (RFC 9420 §12.2): what is proposed is not said again.
  const proposed = proposedRemovals(pending);
  const extraProposals = change.filter(
    (proposal) => proposal.proposalType !== 'remove' || !proposed.has(proposal.remove.removed),
  );
  const { newState, commit, welcome } = await createCommit(
    { state: { ...state, unappliedProposals: pending }, cipherSuite: suite },
    { extraProposals, wireAsPublicMessage, ratchetTreeExtension: true },
  );
  const adds = new Set<string>();
  for (const proposal of extraProposals) {
    if (proposal.proposalType !== 'add') continue;
    const user = userOfCredential(proposal.add.keyPackage.leafNode.credential);
    if (user !== undefined) adds.add(user);
  }
  const stay = new Set(usersByLeaf(newState).values());
  const removes = [...new Set(usersByLeaf(state).values())].filter((user) => !stay.has(user));
  const bundle: CommitBundle = {
    commit: wire(commit),
    groupInfo: await groupInfoOf(newState, suite),
    ...(adds.size === 0 ? {} : { adds: [...adds] }),
    ...(removes.length === 0 ? {} : { removes }),
    ...(welcome === undefined ? {} : { welcome: wire({ wireformat: 'mls_welcome', welcome }) }),
  };
  return { bundle, newState };
}

/** GroupInfo of a state with its ratchet tree, as external joiners and the service want it (RFC 9420 §12.4.3). */
export async function groupInfoOf(state: ClientState, suite: CiphersuiteImpl): Promise<string> {
  const groupInfo = await createGroupInfoWithExternalPubAndRatchetTree(state, [], suite);
  return wire({ wireformat: 'mls_group_info', groupInfo });
}
