import { Mutex } from 'async-mutex';
import type { ParleyClient } from '../api/parley-client.ts';
import type { EpochConflict, ProblemError } from '../api/problem.ts';
import { hasCode, lastSeqOf, problemOf, successorOf } from '../api/problem.ts';
import type { Entry, SendResult } from '../api/types.ts';
import type { ChainPosition } from '../chain/position.ts';
import type { Judgement } from '../chain/statements.ts';
import { leafWithKey, usersByLeaf } from '../mls/leaves.ts';
import type { GroupView, KeyPackage, Leaf, LeafOwner, Proposal } from '../mls/mls-library.ts';
import { newId, toBase64 } from '../platform/bytes.ts';
import { sleep } from '../platform/sleep.ts';
import type { QueuedMessage, ReceivedMessage } from '../storage/group-store.ts';
import { NO_CHANGES } from '../restart/lost-changes.ts';
import type { RestartRecord } from '../restart/restart-record.ts';
import type { AskingPlan, Change, Plan } from './changes.ts';
import {
  planAdd,
  planPending,
  planRemove,
  planRemoveDevice,
  planUpdate,
  removeDevice,
  removeProposal,
} from './changes.ts';
import type { DeletionSecrets } from './deletion-secrets.ts';
import type { CommitOptions } from './group-commits.ts';
import { GroupCommits } from './group-commits.ts';
import type { LogOptions, UnprocessableEntry } from './group-log.ts';
import { GroupLog } from './group-log.ts';
import type { RejoinReason, RepairOptions } from './group-repair.ts';
import { GroupRepair } from './group-repair.ts';
import type { RestartOptions, SettleOptions } from './group-restart.ts';
import { GroupRestart } from './group-restart.ts';
import type { MessagesOptions, OutboxMessage, SendOptions } from './group-messages.ts';
import { GroupMessages } from './group-messages.ts';
import type { ReceivedSignal } from './group-signals.ts';
import { GroupSignals } from './group-signals.ts';
import { GroupRefusesJoinersError, OldGroupInfoError } from './joining.ts';
import type { JoinRequest } from './proposals.ts';
import { joinRequests } from './proposals.ts';

/** What a group needs of the service. */
export type GroupApi = Pick<
  ParleyClient,
  | 'commit'
  | 'send'
  | 'signal'
  | 'deleteMessage'
  | 'deletions'
  | 'log'
  | 'positions'
  | 'leave'
  | 'members'
  | 'report'
  | 'groupInfo'
  | 'supplyGroupInfo'
>;

export interface GroupOptions extends LogOptions, CommitOptions, RepairOptions, RestartOptions, MessagesOptions {
  readonly api: GroupApi;
  /** The own leaf, in this group and in all others. */
  readonly owner: LeafOwner;
  readonly deletionSecrets: DeletionSecrets;
  /** Called with each signal of another device. */
  readonly onSignal: (signal: ReceivedSignal) => void;
}

/** Of one task. */
const MAX_RESTARTS = 3;
/** Time that an invitation waits for other new members to update, if the MLS library would refuse the tree of the group until then. */
const JOINERS_LIMIT_MS = 10_000;
const JOINERS_POLL_MS = 50;

/** The service names a group as successor that has members whom the old one does not have: what waits is not meant for them. */
export class ForeignSuccessorError extends Error {
  override readonly name = 'ForeignSuccessorError';

  constructor(conversation: string, strangers: readonly string[]) {
    super(
      `what waits in ${conversation} is not sent to its successor, because it was not written for ${strangers.join(', ')}`,
    );
  }
}

/** The membership of one device in one MLS group, in step with the conversation's log. */
export class MlsGroup {
  /** Id of the conversation that replaced this one. */
  successor: string | undefined;
  readonly #options: GroupOptions;
  readonly #log: GroupLog;
  readonly #repair: GroupRepair;
  readonly #commits: GroupCommits;
  readonly #messages: GroupMessages;
  readonly #signals: GroupSignals;
  readonly #restart: GroupRestart;
  readonly #mutex = new Mutex();
  #isAbandoned = false;
  #replacement: MlsGroup | undefined;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#log = new GroupLog(options);
    this.#repair = new GroupRepair(options, this.#log);
    this.#signals = new GroupSignals(options.mls, options.owner);
    this.#commits = new GroupCommits(options, this.#log, () => this.#repair.catchUp());
    this.#messages = new GroupMessages(options, {
      ...{ log: this.#log, commits: this.#commits },
      catchUp: () => this.#repair.catchUp(),
    });
    this.#restart = new GroupRestart(options, {
      ...{ log: this.#log, repair: this.#repair, commits: this.#commits },
      inTurn: (task) => this.#inTurn(() => this.#rememberSuccessor(task())),
      send: (text, messageId) => this.#messages.send(text, { push: 'none' }, messageId, newId()),
      deliverNext: () => this.#messages.deliverNext(),
    });
  }

  /** Conversation id. */
  get id(): string {
    return this.#options.id;
  }

  /** The epoch that this device is in. */
  get epoch(): number {
    return this.#log.epoch;
  }

  /** `seq` of the last processed entry. */
  get position(): number {
    return this.#log.position;
  }

  /**
   * How far each other device has read the same log as this one, as it stated in authentic messages: `seq` by its signature key
   * (base64). Since the start of this process.
   */
  get agreed(): ReadonlyMap<string, number> {
    return this.#log.statements.agreed;
  }

  /** Number of messages of others by what they showed about the log, since the start of this process. */
  get heard(): ReadonlyMap<Judgement, number> {
    return this.#log.statements.heard;
  }

  /** The same as text, with which the service says whether the log goes on from there. */
  get where(): string | undefined {
    return this.#log.where;
  }

  /** `position` with the value of the chain over the log up to there; `undefined`: the service has not given a value so far. */
  get verified(): ChainPosition | undefined {
    return this.#log.verified;
  }

  /** This device was removed: it reads no more. */
  get isRemoved(): boolean {
    return this.#log.isRemoved;
  }

  /** What this device still has to do after a restart. */
  get restart(): RestartRecord | undefined {
    return this.#log.restart;
  }

  /** The service lost the end of the log, and this device has not dealt with it to the end yet. */
  get isRestarting(): boolean {
    return this.#restart.isPending;
  }

  /** The service lost a commit that this device had followed: it has no state until it has joined again. */
  get isDead(): boolean {
    return this.#log.isDead;
  }

  /** Messages in the order in which this device got them: that of the log, with the lost ones where they were seen. */
  get history(): readonly ReceivedMessage[] {
    return this.#log.history;
  }

  /** Signature key of the device whose message had this id first, base64. Every sender states the ids of its own messages. */
  claimant(messageId: string): string | undefined {
    return this.#log.messages.claimant(messageId);
  }

  /** `seq` of the messages that this device cannot decrypt: it never had their keys, or no longer has them. */
  get undecryptable(): readonly number[] {
    return this.#log.undecryptable;
  }

  /** The user of this device. */
  get user(): string {
    return this.#options.user;
  }

  /** Signature key of this device, base64. */
  get ownDevice(): string {
    return this.#log.ownKey;
  }

  /** The devices in the group. */
  get leaves(): readonly Leaf[] {
    return [...this.#log.view.leaves.values()];
  }

  /** User ids: one for each device in the group, so a user may be there more than once. */
  get members(): readonly string[] {
    return [...usersByLeaf(this.#log.view).values()];
  }

  /**
   * Users whom this device takes for members, whatever the service says: those in its tree, and those whom lost commits had added,
   * without those whom lost commits had removed.
   */
  get believedMembers(): ReadonlySet<string> {
    const { adds = [], removals = [] } = this.restart ?? {};
    const users = new Set([this.user, ...this.members, ...adds.map(({ user }) => user)]);
    for (const { user, isWholeUser } of removals) if (isWholeUser) users.delete(user);
    return users;
  }

  /** Base64. Two devices with the same epoch authenticator have the same group state (RFC 9420 §8.7). */
  get epochAuthenticator(): string {
    return this.#log.view.epochAuthenticator;
  }

  /** Lost commits: other commits won their epochs. */
  get conflicts(): readonly EpochConflict[] {
    return this.#commits.conflicts;
  }

  /** Entries that this device could not process. */
  get stuckAt(): readonly UnprocessableEntry[] {
    return this.#repair.stuckAt;
  }

  /** Number of proposals that no member has committed yet. */
  get pendingProposals(): number {
    return this.#log.view.proposals.size;
  }

  /** Those who ask to join (policy `externalJoin`). A request is over when its epoch ends; then its sender may ask again. */
  get joinRequests(): readonly JoinRequest[] {
    return joinRequests(this.#log.view);
  }

  /**
   * Lets somebody who asked join. Verify who has the signature key before.
   * @returns false if the request is over
   */
  admit({ ref }: Pick<JoinRequest, 'ref'>): Promise<boolean> {
    return this.#onSettled(() => this.#rememberSuccessor(this.#commits.admit(ref)));
  }

  /** Encrypts and sends one message (RFC 9420 §6.3). */
  send(text: string, options: SendOptions = {}): Promise<SendResult> {
    return this.#onSettled(() => this.#rememberSuccessor(this.#messages.send(text, options)), { isInvitation: false });
  }

  /** Own messages that the log does not have yet, in the order in which they are sent. */
  get outbox(): readonly OutboxMessage[] {
    return this.#messages.outbox;
  }

  /**
   * Takes a message into the outbox. When this returns, the message is durable, and `deliver` sends it: also after a crash, a lost
   * race, a restart of the log or a rejoin. It is encrypted when it is sent.
   */
  async enqueue(message: QueuedMessage): Promise<void> {
    const next = await this.#inTurn(async () => {
      if (this.#isAbandoned && this.#replacement === undefined) throw new Error('this device has left the group');
      if (this.#replacement === undefined) await this.#messages.enqueue(message);
      return this.#replacement;
    });
    await next?.enqueue(message);
  }

  /**
   * Sends everything in the outbox, in order.
   * @throws Error if the service is out of reach, or cannot take a message now: the rest waits for the next call
   */
  async deliver(): Promise<void> {
    const next = (): Promise<boolean> =>
      this.#onSettled(() => this.#rememberSuccessor(this.#messages.deliverNext()), { isInvitation: false });
    while (await next());
  }

  /** Lets `deliver` send a refused message after all. @returns false: there is none with this id */
  retry(id: string): Promise<boolean> {
    return this.#inTurn(() => this.#messages.retry(id));
  }

  /** Takes a message out of the outbox. @returns false: it is on its way, or there is none with this id */
  cancel(id: string): Promise<boolean> {
    return this.#inTurn(() => this.#messages.cancel(id));
  }

  /**
   * Gives what waits to the group that replaced this one, and before it the own messages that the log of this one has lost. After a
   * crash in the middle, call it again: nothing comes twice.
   * @returns ids of the messages that wait there now
   * @throws ForeignSuccessorError
   */
  async handOver(successor: MlsGroup): Promise<string[]> {
    if (this.outbox.length === 0 && this.#log.ownLost.length === 0) return [];
    const ignoreEnd = (error: unknown): void => {
      if (!hasCode(error, 'superseded', 'removed', 'not-found')) throw error;
    };
    // The answer to a message may be missing that the old log has.
    await this.deliver().catch(ignoreEnd);
    await this.#inTurn(() => {
      this.#log.requeue('unanswered');
      return this.#log.save();
    });
    const lost = this.#log.ownLost;
    const waiting = this.#log.outbox.filter(({ refused }) => refused === undefined);
    // Who was added while this device was away is in the log.
    if (this.#strangersIn(successor).length > 0) await this.receive().catch(ignoreEnd);
    const strangers = this.#strangersIn(successor);
    if (strangers.length > 0) throw new ForeignSuccessorError(this.id, strangers);
    for (const { id, text, at = 0 } of lost) await successor.enqueue({ id, text, at, push: 'none' });
    for (const message of waiting) await successor.enqueue(message);
    await this.#inTurn(() => this.#log.dropLost(lost));
    const gone = lost.map(({ id }) => id);
    for (const { id } of waiting) if (await this.cancel(id)) gone.push(id);
    return gone;
  }

  #strangersIn({ members }: MlsGroup): string[] {
    const believed = this.believedMembers;
    return [...new Set(members)].filter((user) => !believed.has(user));
  }

  /**
   * Deletes a message for everybody: one that this device sent, or as an admin one of others, if the policy lets it.
   * @throws ProblemError `not-allowed`
   */
  delete(seq: number, { asAdmin = false }: { readonly asAdmin?: boolean } = {}): Promise<void> {
    return this.#inTurn(async () => {
      const { api, id, deletionSecrets } = this.#options;
      const [entry] = (await api.log(id, { after: seq - 1, limit: 1 })).entries;
      // An entry whose bytes are gone names its message no more: then only an admin can have the others drop it.
      const messageId = asAdmin ? undefined : entry?.id;
      const secret = messageId === undefined ? undefined : toBase64(await deletionSecrets.of(id, messageId));
      const isDeleted = entry?.kind === 'application' && entry.deleted === true;
      if (!isDeleted) await api.deleteMessage(id, seq, secret);
      await this.#log.dropTexts([seq]);
    });
  }

  /** The message `seq` was deleted by somebody: drops its text. */
  forgetText(seq: number): Promise<void> {
    return this.#inTurn(() => this.#log.dropTexts([seq]));
  }

  /**
   * Sends a signal to the devices that are connected now: typing, presence, a call. It is sealed with a key of the epoch, not as an MLS
   * message, so that devices that miss it lose nothing. One try, and nobody knows whether it arrived.
   * @param data up to 3840 bytes in groups of the usual cipher suites
   */
  async signal(data: Uint8Array): Promise<void> {
    const { api, id } = this.#options;
    await api.signal(id, await this.#signals.seal(this.#log.state, data));
  }

  /** Opens a signal of a live stream, base64. Ignores what this device cannot open, and its own. */
  async processSignal(data: string): Promise<void> {
    const signal = await this.#signals.open(this.#log.state, data);
    if (signal !== undefined) this.#options.onSignal(signal);
  }

  /** Processes the log to its end and returns the new messages. */
  receive(): Promise<ReceivedMessage[]> {
    return this.#onSettled(async () => {
      this.#log.takeFresh();
      await this.#repair.catchUp();
      // The log ends below what the service had accepted, or it has grown since.
      const isCut = !this.isRemoved && this.#log.answeredTo > this.position && (await this.#restart.notice());
      if (isCut) throw restarted();
      await this.#dropDeleted();
      return this.#log.takeFresh();
    });
  }

  /** Finds out whether the service has lost the end of the log, after a sign that it was restored. */
  async compare(): Promise<void> {
    await this.#inTurn(() => this.#restart.notice());
  }

  /**
   * Does what is left to do after the service has lost the end of the log. It waits for other devices and may take seconds. Every
   * other task of the group that needs its state does it first.
   * @throws RestartPendingError if other members have to act first
   */
  settle(): Promise<void> {
    return this.#restart.settle();
  }

  /** Processes one entry of a live stream. Ignores an entry that was processed before. */
  async process(entry: Entry): Promise<void> {
    try {
      await this.#inTurn(() => this.#repair.process(entry));
    } catch (error) {
      // The turn has noticed it.
      if (!hasCode(error, 'log-restarted') || this.restart === undefined) throw error;
    }
  }

  /** Adds devices. Their key packages must be claimed for this conversation. */
  async add(keyPackages: readonly KeyPackage[]): Promise<void> {
    const plan = planAdd(keyPackages);
    const end = Date.now() + JOINERS_LIMIT_MS;
    for (;;) {
      try {
        if ((await this.commit(plan)) === undefined) return;
      } catch (error) {
        if (!(error instanceof GroupRefusesJoinersError) || Date.now() > end) throw error;
        await sleep(JOINERS_POLL_MS);
        await this.receive();
      }
    }
  }

  /** Ends the membership of users, also of those that have no device in the group yet. */
  async expel(users: readonly string[]): Promise<void> {
    await this.#inTurn(() => this.#commits.commit((view) => planRemove(users)(view) ?? [], users));
  }

  /** Removes all devices of users. */
  async remove(...users: string[]): Promise<void> {
    await this.commit(planRemove(users));
  }

  /** Removes one device. @param device its signature key: bytes, or base64 */
  async removeDevice(device: Uint8Array | string): Promise<void> {
    await this.commit(planRemoveDevice(typeof device === 'string' ? device : toBase64(device)));
  }

  /** Is the device with this signature key in the group? */
  hasDevice(signatureKey: Uint8Array): boolean {
    return leafWithKey(this.#log.view, toBase64(signatureKey)) !== undefined;
  }

  /** Gives this device new keys. */
  async update(): Promise<void> {
    await this.commit(planUpdate);
  }

  /** The MLS library would refuse the tree of the group when it joins, and a commit of this device could change that. */
  get blocksJoiners(): boolean {
    return !this.isRemoved && this.#log.view.blocksJoiners;
  }

  /**
   * Commits what waits for a commit: the removal of users who left, pending proposals, or new keys of this device if its old
   * ones block joiners. Does nothing if nothing waits.
   */
  async commitPending(): Promise<void> {
    const plan: AskingPlan = async (view) => {
      // Who was leaving in the epoch before may be a member again.
      const { leaving } = await this.#options.api.members(this.id, { limit: 1 });
      return planRemove(leaving)(view) ?? planPending(view) ?? (view.blocksJoiners ? planUpdate(view) : undefined);
    };
    await this.#onSettled(() => this.#rememberSuccessor(this.#commits.commit(plan)));
  }

  /**
   * Commits `plan`. Each time that another commit wins the epoch, processes the winner and builds the commit again. Returns
   * the committed change; `undefined` if there was nothing to do.
   */
  commit(plan: Plan): Promise<Change | undefined> {
    return this.#onSettled(() => this.#rememberSuccessor(this.#commits.commit(plan)));
  }

  /** Proposes to remove all devices of a user. The member that sends the next message commits it first. */
  async proposeRemove(user: string): Promise<void> {
    const { api } = this.#options;
    await this.#onSettled(async () => {
      for (const { device } of this.leaves.filter((leaf) => leaf.user === user)) {
        await this.#commits.propose(
          (view) => removeDevice(view, device),
          async (ciphertext, id) => {
            await api.send(this.id, { id, ciphertext, ...this.#log.stance });
          },
        );
      }
    });
  }

  /**
   * Leaves the conversation with all devices of the user. A member cannot commit its own removal (RFC 9420 §12.4): this
   * device proposes its removal, and one of the remaining members commits it.
   */
  async leave(): Promise<void> {
    const { api, user } = this.#options;
    await this.#onSettled(async () => {
      await this.#rememberSuccessor(
        this.#commits.propose(
          ({ ownLeaf }) => removeProposal(ownLeaf),
          async (proposal, id) => {
            await api.leave(this.id, user, { proposal, id, ...this.#log.stance });
          },
        ),
      );
      this.#log.hasLeft = true;
      await this.#log.save();
    });
  }

  /**
   * Proposes to remove this device, whose user stays with others. One of the remaining members commits it. Does nothing for the last
   * device of the user: then the user leaves, or keeps the leaf until the next device takes its place.
   */
  async resign(): Promise<void> {
    const { api, user } = this.#options;
    const plan = (view: GroupView): Proposal | undefined => {
      const own = [...usersByLeaf(view).values()].filter((one) => one === user);
      return own.length < 2 ? undefined : removeProposal(view.ownLeaf);
    };
    if (this.isRemoved || plan(this.#log.view) === undefined) return;
    await this.#onSettled(() =>
      this.#commits.propose(plan, async (ciphertext, id) => {
        await api.send(this.id, { id, ciphertext, ...this.#log.stance });
      }),
    );
  }

  /** Gives the current GroupInfo to a service that has none: without it no device can join by external commit. */
  async supplyGroupInfo(): Promise<void> {
    await this.#onSettled(async () => {
      const { api, mls } = this.#options;
      try {
        await api.supplyGroupInfo(this.id, await mls.groupInfo(this.#log.state));
      } catch (error) {
        // Another member was faster.
        if (!hasCode(error, 'group-info-exists')) throw error;
      }
    });
  }

  /** Drops the state and joins again by external commit, as the same device. */
  async resync(reason: RejoinReason = { kind: 'requested' }): Promise<void> {
    try {
      await this.#inTurn(() => this.#repair.rejoin(reason));
    } catch (error) {
      // The turn has noticed it. The group is repaired then, and this device with it.
      if (!hasCode(error, 'log-restarted') || !this.isRestarting) throw error;
      await this.settle();
    }
  }

  /** Ends the membership because the conversation was deleted. */
  async close(): Promise<void> {
    await this.#inTurn(() => {
      this.#log.hasLeft = true;
      return this.#log.save();
    });
  }

  /**
   * Ends this object after its current task: another one goes on with another state of the group, and with what waits. What comes
   * for this one later goes to that one.
   * @param make saves the other object with these messages
   */
  replaceBy(make: (outbox: readonly QueuedMessage[]) => Promise<MlsGroup>): Promise<MlsGroup> {
    return this.#inTurn(async () => {
      this.#log.requeue('unanswered');
      // What it has not read by now is not in the log, or not for the state that comes. The service takes an id once, so nothing comes twice.
      this.#log.requeue('accepted');
      if (this.#log.hasLostInOutbox) this.#log.restart ??= { agreed: this.position, isDead: false, ...NO_CHANGES };
      const replacement = await make([...this.#log.outbox]);
      this.#end();
      this.#log.outbox.splice(0);
      this.#replacement = replacement;
      return replacement;
    });
  }

  /** Ends this object after its current task. The device continues without the group. */
  async abandon(): Promise<void> {
    await this.#inTurn(() => {
      this.#end();
      return Promise.resolve();
    });
  }

  #end(): void {
    this.#isAbandoned = true;
    this.#log.hasLeft = true;
    this.#options.store.close();
  }

  /** Saves everything that the device needs after a crash. */
  save(): Promise<void> {
    return this.#inTurn(() => this.#log.save());
  }

  /** One task at a time. If it comes upon a sign that the log was restarted, it fails, and what is lost is given up at once. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    return this.#mutex.runExclusive(async () => {
      try {
        return await task();
      } catch (error) {
        const isTold = hasCode(error, 'log-restarted');
        if (!isTold && !hasCode(error, 'epoch-ahead') && !(error instanceof OldGroupInfoError)) throw error;
        const isLost = await this.#restart.notice(isTold ? lastSeqOf(error) : this.#lostEpochIn(error));
        // Who would go on after a restart knows it by one error.
        throw isLost && !isTold ? restarted() : error;
      } finally {
        // Signals of the epoch before may still be on their way.
        await this.#signals.enter(this.#log.state);
      }
    });
  }

  /**
   * The service does not know the epoch of this state, which began with an own commit: it has lost that. Where it gave no position for the
   * commit, nothing else shows it.
   */
  #lostEpochIn(error: unknown): number | undefined {
    const { chain, position } = this.#log;
    return hasCode(error, 'epoch-ahead') && chain.epochSeq > position ? chain.epochSeq - 1 : undefined;
  }

  /** The same, on a group that is repaired: before the task, and when the log is restarted while it runs. */
  async #onSettled<T>(task: () => Promise<T>, options?: SettleOptions): Promise<T> {
    for (let restarts = 0; ; restarts++) {
      await this.#restart.settle(options);
      try {
        // The task before this one may have noticed a restart, and destroyed the state that this one would use.
        const done = await this.#inTurn(async () =>
          this.#restart.mustSettle(options) ? undefined : { result: await task() },
        );
        if (done !== undefined) return done.result;
      } catch (error) {
        if (!hasCode(error, 'log-restarted') || restarts >= MAX_RESTARTS) throw error;
      }
    }
  }

  /** Pages do not say which of the messages that the device has were deleted. */
  async #dropDeleted(): Promise<void> {
    const { api, id, store } = this.#options;
    const { position, history, isRemoved } = this.#log;
    if (isRemoved || history.length === 0) return;
    await this.#log.dropTexts(await api.deletions(id, await store.deletionsReadTo()));
    await store.saveDeletionsReadTo(position);
  }

  /** Remembers the successor of the conversation if the service refuses the task for this reason. */
  async #rememberSuccessor<T>(task: Promise<T>): Promise<T> {
    try {
      return await task;
    } catch (error) {
      this.successor ??= successorOf(error);
      throw error;
    }
  }
}

function restarted(): ProblemError {
  return problemOf(409, 'log-restarted', 'The log lacks what the service had accepted');
}
