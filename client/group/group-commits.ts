import { setTimeout as sleep } from 'node:timers/promises';
import type { CiphersuiteImpl, ClientState, Proposal } from 'ts-mls';
import { createProposal } from 'ts-mls';
import type { BuiltCommit, Change, Plan } from './changes.ts';
import { buildCommit, planRemove } from './changes.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { GroupLog } from './group-log.ts';
import { isJoinable } from '../mls/joiner-check.ts';
import { usersByLeaf, wire } from '../mls/tree.ts';
import type { EpochConflict } from '../api/problem.ts';
import { epochConflict, hasCode, ProblemError } from '../api/problem.ts';
import { committable, leavingLeaves } from './proposals.ts';

export interface CommitOptions {
  readonly api: Pick<ParleyClient, 'commit' | 'members'>;
  readonly suite: CiphersuiteImpl;
  /** Conversation id. */
  readonly id: string;
  /** Commits and proposals as PublicMessage, whose content the service can check. @default false */
  readonly publicCommits?: boolean;
}

const MAX_ATTEMPTS = 20;
/** Losers of a race spread over this time for each one they have lost, so that none loses for ever. */
const JITTER_MS = 20;
/** A proposal came after the end of its epoch. */
const STALE = ['proposal-stale', 'epoch-conflict', 'epoch-too-old'];

/** The joiner could not verify the tree yet: members who joined lately have not updated their keys. */
export class NotJoinableError extends Error {
  override readonly name = 'NotJoinableError';
}

/** The writing half of a group's handshake: commits and proposals, made again until the service takes them. */
export class GroupCommits {
  /** Races lost. */
  readonly conflicts: EpochConflict[] = [];
  readonly #options: CommitOptions;
  readonly #log: GroupLog;
  readonly #catchUp: () => Promise<void>;
  /** Proposals of this epoch cannot be committed by this device. */
  #uncommittable = -1;

  constructor(options: CommitOptions, log: GroupLog, catchUp: () => Promise<void>) {
    this.#options = options;
    this.#log = log;
    this.#catchUp = catchUp;
  }

  /** Commits `plan`, again after each race it loses; `undefined` if nothing was left to do. */
  async commit(plan: Plan): Promise<Change | undefined> {
    const { api, id } = this.#options;
    for (let lost = 0; ;) {
      const state = this.#base();
      const planned = plan(state);
      if (planned === undefined) return undefined;
      const hasPending = Object.keys(committable(state)).length > 0;
      const isRefused = (): boolean => {
        if (hasPending) this.#uncommittable = this.#log.epoch;
        return hasPending;
      };
      let change: Change;
      let built: BuiltCommit;
      try {
        ({ change, built } = await this.#build(state, [...planned, ...(await this.#othersOfLeaving(state, planned))]));
      } catch (error) {
        // One member's invalid proposal must not stop the others.
        if (!(error instanceof NotJoinableError) && isRefused()) continue;
        throw error;
      }
      const { bundle, newState } = built;
      // RFC 9420 §14: making a commit changes nothing; its epoch begins when the service accepts it.
      this.#log.pending.set(bundle.commit, newState);
      await this.#log.save();
      try {
        await api.commit(id, bundle);
        this.#log.enter(newState);
        await this.#log.save();
        return change;
      } catch (error) {
        if (error instanceof ProblemError && !error.isRetryable) this.#log.pending.delete(bundle.commit);
        // A proposal asks for what this member may not do.
        if (hasCode(error, 'not-allowed', 'membership-mismatch') && isRefused()) continue;
        const conflict = epochConflict(error);
        if (conflict === undefined || lost >= MAX_ATTEMPTS) throw error;
        this.conflicts.push(conflict);
        await this.#catchUp();
        if (this.#log.epoch <= conflict.submittedEpoch) {
          throw new Error(this.#log.isRemoved ? 'removed meanwhile' : 'the winner is not in the log', { cause: error });
        }
        await sleep(Math.random() * JITTER_MS * lost++);
      }
    }
  }

  /** Submits a proposal, made again whenever its epoch ended first; it counts once it is in the log. */
  async propose(proposal: Proposal, submit: (ciphertext: string) => Promise<void>): Promise<void> {
    const { suite, publicCommits = false } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const { state } = this.#log;
      const bare = { ...state, unappliedProposals: {} };
      const { newState, message } = await createProposal(bare, publicCommits, proposal, suite);
      const ciphertext = wire(message);
      for (const [ref, own] of Object.entries(newState.unappliedProposals)) {
        this.#log.proposals.set(ciphertext, { ref, proposal: own });
      }
      this.#log.state = { ...newState, unappliedProposals: state.unappliedProposals };
      await this.#log.save();
      try {
        await submit(ciphertext);
        await this.#catchUp();
        return;
      } catch (error) {
        if (!hasCode(error, ...STALE) || attempt >= MAX_ATTEMPTS) throw error;
        this.#log.proposals.delete(ciphertext);
        await this.#catchUp();
      }
    }
  }

  /** The state to build on, without proposals that turned out to be in the way. */
  #base(): ClientState {
    const { state, epoch } = this.#log;
    return epoch === this.#uncommittable ? { ...state, unappliedProposals: {} } : state;
  }

  /** A user who leaves proposes to remove the device at hand; the service says if all the others go as well. */
  async #othersOfLeaving(state: ClientState, planned: Change): Promise<Change> {
    const users = usersByLeaf(state);
    const leaves = leavingLeaves(state);
    const proposers = new Set(leaves.map((leaf) => users.get(leaf)));
    if (![...users].some(([leaf, user]) => proposers.has(user) && !leaves.includes(leaf))) return [];
    const { leaving } = await this.#options.api.members(this.#options.id, { limit: 1 });
    const said = new Set(planned.flatMap((one) => (one.proposalType === 'remove' ? [one.remove.removed] : [])));
    const removals = planRemove(leaving.filter((user) => proposers.has(user)))(state) ?? [];
    return removals.filter((one) => one.proposalType === 'remove' && !said.has(one.remove.removed));
  }

  /** Adds all at once if they could all join, else one. */
  async #build(state: ClientState, change: Change): Promise<{ change: Change; built: BuiltCommit }> {
    const { suite, publicCommits = false } = this.#options;
    const built = await buildCommit(state, change, suite, publicCommits);
    const [first, ...more] = change.filter(({ proposalType }) => proposalType === 'add');
    if (first === undefined || isJoinable(built.newState.ratchetTree)) return { change, built };
    if (more.length > 0) {
      return this.#build(state, [...change.filter(({ proposalType }) => proposalType !== 'add'), first]);
    }
    throw new NotJoinableError('members who joined lately have not updated their keys');
  }
}
