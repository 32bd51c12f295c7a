import type { CiphersuiteImpl, ClientState, Proposal } from 'ts-mls';
import { createCommit, createGroupInfoWithExternalPubAndRatchetTree } from 'ts-mls';
import { unwire, userOfKeyPackage, usersByLeaf, wire } from './mls.ts';
import type { CommitBundle } from './types.ts';

/** What a commit is to do, worked out anew for each state that it is built on. */
export interface Change {
  readonly proposals: readonly Proposal[];
  readonly adds?: readonly string[];
  readonly removes?: readonly string[];
}

/** Gives the change for a state, or `undefined` when nothing is left to do in it. */
export type Plan = (state: ClientState) => Change | undefined;

/** A KeyPackage of a user's device, as base64 of an MLSMessage. */
export interface KeyPackageOffer {
  readonly user: string;
  readonly keyPackage: string;
}

/** Fresh keys for the committer's own path (RFC 9420 §12.4). */
export const planUpdate: Plan = () => ({ proposals: [] });

/** Adds one device for each offer, except those of users who are in the group already (RFC 9420 §12.1.1). */
export function planAdd(offers: readonly KeyPackageOffer[]): Plan {
  return (state) => {
    const present = new Set(usersByLeaf(state).values());
    const missing = offers.filter(({ user }) => !present.has(user));
    if (missing.length === 0) return undefined;
    const proposals = missing.map(({ user, keyPackage }): Proposal => {
      const message = unwire(keyPackage);
      // The service only names users; that a KeyPackage is really theirs is for the client to check (RFC 9420 §5.3.1).
      if (message.wireformat !== 'mls_key_package' || userOfKeyPackage(message.keyPackage) !== user) {
        throw new Error(`not a KeyPackage of ${user}`);
      }
      return { proposalType: 'add', add: { keyPackage: message.keyPackage } };
    });
    return { proposals, adds: missing.map(({ user }) => user) };
  };
}

/** Removes all devices of a user (RFC 9420 §12.1.3). */
export function planRemove(user: string): Plan {
  return (state) => {
    const leaves = [...usersByLeaf(state)].filter(([, owner]) => owner === user).map(([leaf]) => leaf);
    if (leaves.length === 0) return undefined;
    const proposals = leaves.map((removed): Proposal => ({ proposalType: 'remove', remove: { removed } }));
    return { proposals, removes: [user] };
  };
}

/** A commit with its Welcome and GroupInfo (RFC 9420 §12.4), and the state that it leads to once it is accepted. */
export async function buildCommit(
  state: ClientState,
  change: Change,
  suite: CiphersuiteImpl,
  wireAsPublicMessage: boolean,
): Promise<{ bundle: CommitBundle; newState: ClientState }> {
  const { newState, commit, welcome } = await createCommit(
    { state, cipherSuite: suite },
    { extraProposals: [...change.proposals], wireAsPublicMessage, ratchetTreeExtension: true },
  );
  const groupInfo = await createGroupInfoWithExternalPubAndRatchetTree(newState, [], suite);
  const bundle: CommitBundle = {
    commit: wire(commit),
    groupInfo: wire({ wireformat: 'mls_group_info', groupInfo }),
    ...(change.adds === undefined ? {} : { adds: change.adds }),
    ...(change.removes === undefined ? {} : { removes: change.removes }),
    ...(welcome === undefined ? {} : { welcome: wire({ wireformat: 'mls_welcome', welcome }) }),
  };
  return { bundle, newState };
}
