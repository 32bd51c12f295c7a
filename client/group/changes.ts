import type { CommitBundle } from '../api/types.ts';
import { leafWithKey, usersByLeaf } from '../mls/leaves.ts';
import type {
  Framing,
  GroupState,
  GroupView,
  KeyPackage,
  MlsLibrary,
  PendingProposal,
  Proposal,
} from '../mls/mls-library.ts';
import { committable } from './proposals.ts';

/** The proposals of a commit, without the pending proposals from the log. It depends on the state that the commit is for. */
export type Change = readonly Proposal[];

/** Gives the change for a state; `undefined` if there is nothing to do in this state. */
export type Plan = (view: GroupView) => Change | undefined;

/** The same, with a question to the service. It is asked again for each state: its answer may not hold for the next one. */
export type AskingPlan = (view: GroupView) => Promise<Change | undefined>;

/** New keys for the committer's own path (RFC 9420 §12.4). */
export const planUpdate: Plan = () => [];

/** Commits the pending proposals of other members, if there are any. */
export const planPending: Plan = (view) => (committable(view).size === 0 ? undefined : []);

/** Adds the devices of these key packages, except those that are in the group already (RFC 9420 §12.1.1). */
export function planAdd(keyPackages: readonly KeyPackage[]): Plan {
  return (view) => {
    const missing = keyPackages.filter(({ device }) => leafWithKey(view, device) === undefined);
    if (missing.length === 0) return undefined;
    return missing.map((keyPackage): Proposal => ({ kind: 'add', keyPackage }));
  };
}

/** Removes all devices of these users (RFC 9420 §12.1.3). */
export function planRemove(users: readonly string[]): Plan {
  return (view) => {
    const leaves = [...usersByLeaf(view)].filter(([, owner]) => users.includes(owner)).map(([leaf]) => leaf);
    return leaves.length === 0 ? undefined : leaves.map(removeProposal);
  };
}

/** Removes one device. @param device its signature key, base64 */
export function planRemoveDevice(device: string): Plan {
  return (view) => {
    const proposal = removeDevice(view, device);
    return proposal === undefined ? undefined : [proposal];
  };
}

/** A proposal to remove one device; `undefined`: the group does not have it. @param device its signature key, base64 */
export function removeDevice(view: GroupView, device: string): Proposal | undefined {
  const leaf = leafWithKey(view, device);
  return leaf === undefined ? undefined : removeProposal(leaf);
}

/** A proposal to remove one leaf. */
export function removeProposal(leaf: number): Proposal {
  return { kind: 'remove', leaf };
}

/** A commit in the form that the service takes, and the state after the service has accepted it. */
export interface BuiltCommit {
  readonly bundle: CommitBundle;
  readonly newState: GroupState;
}

/** Builds a commit of the change and all pending proposals, with its Welcome and GroupInfo (RFC 9420 §12.4). */
export async function buildCommit(
  state: GroupState,
  change: Change,
  mls: MlsLibrary,
  framing: Framing,
): Promise<BuiltCommit> {
  const before = mls.view(state);
  const pending = committable(before, removalsOf(change));
  // Two Removes of one leaf make the commit invalid (RFC 9420 §12.2), as do two Adds of one device. So what is pending is
  // not proposed again.
  const removed = removalsOf(pending.values());
  const added = [...pending.values()].filter((one) => one.kind === 'add');
  const addedKeys = new Set(added.map(({ device }) => device));
  const proposals = change.filter((one) =>
    one.kind === 'remove' ? !removed.has(one.leaf) : !addedKeys.has(one.keyPackage.device),
  );
  const {
    state: newState,
    commit,
    welcome,
    groupInfo,
  } = await mls.commit(state, proposals, [...pending.keys()], framing);
  const addedNow = proposals.flatMap((one) => (one.kind === 'add' ? [one.keyPackage] : []));
  const adds = [...new Set([...addedNow, ...added].flatMap(({ user }) => user ?? []))];
  const remaining = new Set(usersByLeaf(mls.view(newState)).values());
  const removes = [...new Set(usersByLeaf(before).values())].filter((user) => !remaining.has(user));
  const bundle: CommitBundle = {
    ...{ commit, groupInfo },
    ...(adds.length === 0 ? {} : { adds }),
    ...(removes.length === 0 ? {} : { removes }),
    ...(welcome === undefined ? {} : { welcome }),
  };
  return { bundle, newState };
}

function removalsOf(proposals: Iterable<Proposal | PendingProposal>): Set<number> {
  const leaves = new Set<number>();
  for (const one of proposals) if (one.kind === 'remove') leaves.add(one.leaf);
  return leaves;
}
