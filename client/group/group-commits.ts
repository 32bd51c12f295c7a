import type { ParleyClient } from '../api/parley-client.ts';
import type { EpochConflict } from '../api/problem.ts';
import { epochConflict, hasCode, isRefusal } from '../api/problem.ts';
import type { ChainPosition } from '../chain/position.ts';
import { usersByLeaf } from '../mls/leaves.ts';
import type { GroupState, GroupView, MlsLibrary, Proposal } from '../mls/mls-library.ts';
import { newId } from '../platform/bytes.ts';
import { sleep } from '../platform/sleep.ts';
import type { AskingPlan, BuiltCommit, Change, Plan } from './changes.ts';
import { buildCommit, planRemove } from './changes.ts';
import type { GroupLog } from './group-log.ts';
import { GroupRefusesJoinersError } from './joining.ts';
import { committable, isJoinRequest, selfRemovals } from './proposals.ts';

export interface CommitOptions {
  readonly api: Pick<ParleyClient, 'commit' | 'members'>;
  readonly mls: MlsLibrary;
  /** Conversation id. */
  readonly id: string;
  /** Sends commits and proposals as PublicMessage, so that the service can check their content. @default false */
  readonly publicCommits?: boolean;
}

/** A commit, and what it was built for. */
interface Unanswered {
  readonly change: Change;
  readonly built: BuiltCommit;
  /** The wanted change, and the pending proposals. */
  readonly text: string;
  /** What the commit says of the log. */
  readonly stated: ChainPosition | undefined;
}

const MAX_ATTEMPTS = 20;
/** Upper limit of the random backoff, for each commit that this device lost: so no device loses for ever. */
const BACKOFF_MS = 20;
/** The epoch of the proposal is over. */
const STALE_CODES = ['proposal-stale', 'epoch-conflict', 'epoch-too-old'] as const;
/** A pending proposal demands a change that this member is not allowed to make, or that cannot be made any more. */
const BAD_PROPOSAL_CODES = [
  'not-allowed',
  'membership-mismatch',
  'welcome-mismatch',
  'key-package-stale',
  'too-many-members',
] as const;

/** The writing half of a group's handshake: builds commits and proposals, and builds them again until one is accepted. */
export class GroupCommits {
  /** Lost commits: other commits won their epochs. */
  readonly conflicts: EpochConflict[] = [];
  readonly #options: CommitOptions;
  readonly #log: GroupLog;
  readonly #catchUp: () => Promise<void>;
  /** The newest commit whose answer is missing. */
  #unanswered: Unanswered | undefined;
  /** The service or the MLS library refused the pending proposals of this epoch in a commit of this device. */
  #epochWithBadProposals = -1;
  /** Requests to join that this device shall commit, by ProposalRef. */
  readonly #admitted = new Set<string>();

  constructor(options: CommitOptions, log: GroupLog, catchUp: () => Promise<void>) {
    this.#options = options;
    this.#log = log;
    this.#catchUp = catchUp;
  }

  /**
   * Commits `plan`, and again after each lost commit. Returns the committed change, `undefined` if nothing was to do.
   * @param without users whose membership ends with it, although the group may have no leaf of them
   */
  async commit(plan: Plan | AskingPlan, without: readonly string[] = []): Promise<Change | undefined> {
    const { api, id, mls } = this.#options;
    for (let lost = 0; ;) {
      const state = this.#stateForCommit();
      const view = mls.view(state);
      const planned = await plan(view);
      if (planned === undefined) return undefined;
      const hasPending = committable(view).size > 0;
      const canRetryWithoutPending = (): boolean => {
        if (hasPending) this.#epochWithBadProposals = this.#log.epoch;
        return hasPending;
      };
      let change: Change;
      let built: BuiltCommit;
      try {
        const wanted = [...planned, ...(await this.#otherDevicesOfLeavers(view, planned))];
        const text = JSON.stringify([wanted, [...view.proposals.keys()], without]);
        const known = this.#builtBefore(text);
        ({ change, built } = known ?? (await this.#build(state, wanted)));
        this.#unanswered = known ?? { change, built, text, stated: this.#log.verified };
      } catch (error) {
        // One member's invalid proposal must not stop the others.
        if (!(error instanceof GroupRefusesJoinersError) && canRetryWithoutPending()) continue;
        throw error;
      }
      const { newState } = built;
      const removes = [...new Set([...(built.bundle.removes ?? []), ...without])];
      const bundle = { ...built.bundle, ...(removes.length === 0 ? {} : { removes }) };
      // RFC 9420 §14: the new epoch begins when the service accepts the commit, not when the device builds it.
      if (!this.#log.pendingCommits.has(bundle.commit)) await this.#keepPending(bundle.commit, newState);
      try {
        const { seq, chain } = await api.commit(id, { ...bundle, ...this.#log.stance });
        await this.#log.enterEpoch({ state: newState, seq, ...(chain === undefined ? {} : { chain }) }, true);
        await this.#log.save();
        await this.#readBefore(seq);
        return change;
      } catch (error) {
        if (isRefusal(error)) this.#log.pendingCommits.delete(bundle.commit);
        if (hasCode(error, ...BAD_PROPOSAL_CODES) && canRetryWithoutPending()) continue;
        const conflict = epochConflict(error);
        if (conflict === undefined || lost >= MAX_ATTEMPTS) throw error;
        this.conflicts.push(conflict);
        await this.#catchUp();
        if (this.#log.epoch <= conflict.submittedEpoch) {
          const reason = this.#log.isRemoved ? 'this device was removed meanwhile' : 'the log lacks the winning commit';
          throw new Error(reason, { cause: error });
        }
        await sleep(Math.random() * BACKOFF_MS * lost++);
      }
    }
  }

  /** A commit is durable before anybody can get it. */
  async #keepPending(commit: string, next: GroupState): Promise<void> {
    const { pendingCommits } = this.#log;
    pendingCommits.set(commit, next);
    await this.#log.save().catch((error: unknown) => {
      pendingCommits.delete(commit);
      throw error;
    });
  }

  /**
   * The commit of this change that has no answer yet: it is sent again with the same bytes, as a message is. Each new one would be
   * one more state to keep.
   */
  #builtBefore(text: string): Unanswered | undefined {
    const known = this.#unanswered;
    if (known?.text !== text || !this.#log.pendingCommits.has(known.built.bundle.commit)) return undefined;
    const { stated } = known;
    const isOnLog = stated === undefined || this.#log.chain.at(stated.seq)?.chain === stated.chain;
    return isOnLog ? known : undefined;
  }

  /**
   * Reads the messages before an own commit while their keys are there: MLS libraries keep those of a few epochs only. Where this
   * fails, the next task reads them.
   * @throws ProblemError `log-restarted`, if the commit is lost already
   */
  async #readBefore(seq: number): Promise<void> {
    if (seq <= this.#log.position + 1) return;
    await this.#catchUp().catch((error: unknown) => {
      if (hasCode(error, 'log-restarted')) throw error;
    });
  }

  /**
   * Sends a proposal, and a new one if the epoch ended before. The proposal counts when it is in the log.
   * @param plan gives the proposal for a state, since a leaf may be that of another device in the next epoch; `undefined`: nothing is
   * to propose any more
   */
  async propose(
    plan: (view: GroupView) => Proposal | undefined,
    submit: (ciphertext: string, id: string) => Promise<void>,
  ): Promise<void> {
    const { mls, publicCommits = false } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const proposal = plan(this.#log.view);
      if (proposal === undefined) return;
      const id = newId();
      const framing = { isPublic: publicCommits, authenticatedData: this.#log.stated(id) };
      const { state, message, ref, proposal: own } = await mls.propose(this.#log.state, proposal, framing);
      this.#log.ownProposals.set(message, { ref, proposal: own });
      this.#log.state = state;
      await this.#log.save();
      try {
        await submit(message, id);
        await this.#catchUp();
        return;
      } catch (error) {
        if (!hasCode(error, ...STALE_CODES) || attempt >= MAX_ATTEMPTS) throw error;
        this.#log.ownProposals.delete(message);
        await this.#catchUp();
      }
    }
  }

  /** Commits a request to join. @returns whether the request still waited, and the service took the commit */
  async admit(ref: string): Promise<boolean> {
    this.#admitted.add(ref);
    try {
      return (await this.commit((view) => (committable(view).has(ref) ? [] : undefined))) !== undefined;
    } finally {
      this.#admitted.delete(ref);
    }
  }

  /** The state for the next commit, without requests that nobody admitted and proposals that a commit was refused for. */
  #stateForCommit(): GroupState {
    const { mls } = this.#options;
    const { state, view, epoch } = this.#log;
    const unwanted = [...view.proposals].filter(
      ([ref, pending]) => epoch === this.#epochWithBadProposals || (isJoinRequest(pending) && !this.#admitted.has(ref)),
    );
    return unwanted.length === 0 ? state : mls.withoutProposals(state, new Set(unwanted.map(([ref]) => ref)));
  }

  /**
   * A user who leaves proposes to remove only the device in use. The service says whether the whole user leaves; then the
   * commit removes the other devices as well.
   */
  async #otherDevicesOfLeavers(view: GroupView, planned: Change): Promise<Change> {
    const users = usersByLeaf(view);
    const leaves = selfRemovals(view);
    const leavers = new Set(leaves.map((leaf) => users.get(leaf)));
    if (![...users].some(([leaf, user]) => leavers.has(user) && !leaves.includes(leaf))) return [];
    const { leaving } = await this.#options.api.members(this.#options.id, { limit: 1 });
    const alreadyPlanned = new Set(planned.flatMap((one) => (one.kind === 'remove' ? [one.leaf] : [])));
    const removals = planRemove(leaving.filter((user) => leavers.has(user)))(view) ?? [];
    return removals.filter((one) => one.kind === 'remove' && !alreadyPlanned.has(one.leaf));
  }

  /** Adds all devices at once if all of them could join, else only the first one. */
  async #build(state: GroupState, change: Change): Promise<{ change: Change; built: BuiltCommit }> {
    const { mls, publicCommits = false } = this.#options;
    const id = newId();
    const framing = { isPublic: publicCommits, authenticatedData: this.#log.stated(id) };
    const { bundle, newState } = await buildCommit(state, change, mls, framing);
    const built: BuiltCommit = { bundle: { ...bundle, id }, newState };
    const [first, ...more] = change.filter(({ kind }) => kind === 'add');
    if (first === undefined || mls.view(newState).acceptsJoiners) return { change, built };
    if (more.length > 0) {
      return this.#build(state, [...change.filter(({ kind }) => kind !== 'add'), first]);
    }
    throw new GroupRefusesJoinersError();
  }
}
