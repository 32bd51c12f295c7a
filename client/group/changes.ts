import type { CiphersuiteImpl, ClientState, KeyPackage, Proposal } from 'ts-mls';
import { createCommit } from 'ts-mls';
import type { CommitBundle } from '../api/types.ts';
import { groupInfoOf } from '../mls/group-info.ts';
import { encodeMessage } from '../mls/messages.ts';
import { toBase64 } from '../platform/bytes.ts';
import { leafWithKey, userOfCredential, usersByLeaf } from '../mls/tree.ts';
import { committable, proposedKeys, proposedRemovals } from './proposals.ts';

/** The proposals of a commit, without the pending proposals from the log. It depends on the state that the commit is for. */
export type Change = readonly Proposal[];

/** Gives the change for a state; `undefined` if there is nothing to do in this state. */
export type Plan = (state: ClientState) => Change | undefined;

/** New keys for the committer's own path (RFC 9420 §12.4). */
export const planUpdate: Plan = () => [];

/** Commits the pending proposals of other members, if there are any. */
export const planPending: Plan = (state) => (Object.keys(committable(state)).length === 0 ? undefined : []);

/** Adds the devices of these key packages, except those that are in the group already (RFC 9420 §12.1.1). */
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
    return leaves.length === 0 ? undefined : leaves.map(removeProposal);
  };
}

/** Removes one device. */
export function planRemoveDevice(signatureKey: Uint8Array): Plan {
  return ({ ratchetTree }) => {
    const leaf = leafWithKey(ratchetTree, signatureKey);
    return leaf === undefined ? undefined : [removeProposal(leaf)];
  };
}

/** A proposal to remove one leaf. */
export function removeProposal(removed: number): Proposal {
  return { proposalType: 'remove', remove: { removed } };
}

/** A commit in the form that the service takes, and the state after the service has accepted it. */
export interface BuiltCommit {
  readonly bundle: CommitBundle;
  readonly newState: ClientState;
}

/** How a commit is framed. */
export interface CommitFraming {
  /** @default false */
  readonly wireAsPublicMessage?: boolean;
  readonly authenticatedData?: Uint8Array;
}

/** Builds a commit of the change and all pending proposals, with its Welcome and GroupInfo (RFC 9420 §12.4). */
export async function buildCommit(
  state: ClientState,
  change: Change,
  suite: CiphersuiteImpl,
  framing: CommitFraming = {},
): Promise<BuiltCommit> {
  const removals = change.flatMap((proposal) => (proposal.proposalType === 'remove' ? [proposal.remove.removed] : []));
  const pending = committable(state, new Set(removals));
  // Two Removes of one leaf make the commit invalid (RFC 9420 §12.2), as do two Adds of one device. So what is pending is
  // not proposed again.
  const [removed, added] = [proposedRemovals(pending), proposedKeys(pending)];
  const extraProposals = change.filter((proposal) => {
    if (proposal.proposalType === 'remove') return !removed.has(proposal.remove.removed);
    if (proposal.proposalType !== 'add') return true;
    return !added.has(toBase64(proposal.add.keyPackage.leafNode.signaturePublicKey));
  });
  const { newState, commit, welcome } = await createCommit(
    { state: { ...state, unappliedProposals: pending }, cipherSuite: suite },
    { extraProposals, ...framing, ratchetTreeExtension: true },
  );
  const adds = new Set<string>();
  for (const proposal of [...extraProposals, ...Object.values(pending).map((one) => one.proposal)]) {
    if (proposal.proposalType !== 'add') continue;
    const user = userOfCredential(proposal.add.keyPackage.leafNode.credential);
    if (user !== undefined) adds.add(user);
  }
  const remaining = new Set(usersByLeaf(newState).values());
  const removes = [...new Set(usersByLeaf(state).values())].filter((user) => !remaining.has(user));
  const bundle: CommitBundle = {
    commit: encodeMessage(commit),
    groupInfo: await groupInfoOf(newState, suite),
    ...(adds.size === 0 ? {} : { adds: [...adds] }),
    ...(removes.length === 0 ? {} : { removes }),
    ...(welcome === undefined ? {} : { welcome: encodeMessage({ wireformat: 'mls_welcome', welcome }) }),
  };
  return { bundle, newState };
}
