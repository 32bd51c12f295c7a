import type { ClientState, LeafNode, ProposalWithSender } from 'ts-mls';
import type { GroupView, Leaf, PendingProposal } from '../mls/mls-library.ts';
import { toBase64 } from '../platform/bytes.ts';
import { acceptsJoiners, blocksJoiners } from './joiner-check.ts';
import { usesSafeAad } from './safe-aad.ts';
import { epochAuthenticator, leavesOf, userOfCredential } from './tree.ts';

const views = new WeakMap<ClientState, GroupView>();

/** What can be seen of a state. What takes time is computed when it is asked for, and once. */
export function viewOf(state: ClientState): GroupView {
  const known = views.get(state);
  if (known !== undefined) return known;
  const view = new StateView(state);
  views.set(state, view);
  return view;
}

export function leafOf({ credential, signaturePublicKey }: LeafNode): Leaf {
  const user = userOfCredential(credential);
  return { ...(user === undefined ? {} : { user }), device: toBase64(signaturePublicKey) };
}

class StateView implements GroupView {
  readonly #state: ClientState;
  #leaves: GroupView['leaves'] | undefined;
  #proposals: GroupView['proposals'] | undefined;

  constructor(state: ClientState) {
    this.#state = state;
  }

  get groupId(): Uint8Array {
    return this.#state.groupContext.groupId;
  }

  get epoch(): number {
    return Number(this.#state.groupContext.epoch);
  }

  get leaves(): GroupView['leaves'] {
    this.#leaves ??= new Map([...leavesOf(this.#state.ratchetTree)].map(([index, leaf]) => [index, leafOf(leaf)]));
    return this.#leaves;
  }

  get ownLeaf(): number {
    return this.#state.privatePath.leafIndex;
  }

  get isRemoved(): boolean {
    return this.#state.groupActiveState.kind === 'removedFromGroup';
  }

  get epochAuthenticator(): string {
    return epochAuthenticator(this.#state);
  }

  get usesSafeAad(): boolean {
    return usesSafeAad(this.#state.groupContext);
  }

  get proposals(): GroupView['proposals'] {
    const pending = Object.entries(this.#state.unappliedProposals);
    this.#proposals ??= new Map(pending.map(([ref, one]) => [ref, this.#pending(one)]));
    return this.#proposals;
  }

  get acceptsJoiners(): boolean {
    return acceptsJoiners(this.#state.ratchetTree);
  }

  get blocksJoiners(): boolean {
    return blocksJoiners(this.#state.ratchetTree, this.ownLeaf);
  }

  #pending({ proposal, senderLeafIndex }: ProposalWithSender): PendingProposal {
    const from = senderLeafIndex === undefined ? {} : { sender: senderLeafIndex };
    if (proposal.proposalType === 'add') {
      const { cipherSuite, leafNode } = proposal.add.keyPackage;
      const isOfSuite = cipherSuite === this.#state.groupContext.cipherSuite;
      return { kind: 'add', isOfSuite, ...leafOf(leafNode), ...from };
    }
    if (proposal.proposalType === 'remove') return { kind: 'remove', leaf: proposal.remove.removed, ...from };
    if (proposal.proposalType === 'update' && senderLeafIndex !== undefined) {
      const keepsOwner = this.#isSameOwner(senderLeafIndex, proposal.update.leafNode);
      return { kind: 'update', leaf: senderLeafIndex, keepsOwner, ...from };
    }
    return { kind: 'other', ...from };
  }

  #isSameOwner(leaf: number, updated: LeafNode): boolean {
    const old = leavesOf(this.#state.ratchetTree).get(leaf);
    if (old === undefined) return false;
    const isSameKey = toBase64(updated.signaturePublicKey) === toBase64(old.signaturePublicKey);
    return isSameKey && isSameCredential(updated.credential, old.credential);
  }
}

function isSameCredential(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): string =>
    JSON.stringify(value, (_key, part: unknown) => (part instanceof Uint8Array ? toBase64(part) : part));
  return plain(a) === plain(b);
}
