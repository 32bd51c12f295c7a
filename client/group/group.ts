import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientState, KeyPackage } from 'ts-mls';
import { createApplicationMessage } from 'ts-mls';
import { newId } from '../platform/bytes.ts';
import type { Change, Plan } from './changes.ts';
import { groupInfoOf, planAdd, planPending, planRemove, planRemoveDevice, planUpdate, toRemove } from './changes.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { CommitOptions } from './group-commits.ts';
import { GroupCommits, NotJoinableError } from './group-commits.ts';
import type { LogOptions, UnprocessableEntry } from './group-log.ts';
import { GroupLog } from './group-log.ts';
import type { RepairOptions } from './group-repair.ts';
import { GroupRepair } from './group-repair.ts';
import type { ReceivedMessage } from '../storage/group-store.ts';
import { epochAuthenticator, leafWithKey, usersByLeaf, wire } from '../mls/tree.ts';
import { isInTheWay } from '../mls/joiner-check.ts';
import { createMutex } from '../mutex.ts';
import type { EpochConflict } from '../api/problem.ts';
import { hasCode, ProblemError, successorOf } from '../api/problem.ts';
import type { Entry, SendResult } from '../api/types.ts';

export type GroupApi = Pick<
  ParleyClient,
  'commit' | 'send' | 'log' | 'leave' | 'members' | 'report' | 'groupInfo' | 'supplyGroupInfo'
>;

export interface GroupOptions extends LogOptions, CommitOptions, RepairOptions {
  readonly api: GroupApi;
}

const MAX_ATTEMPTS = 20;
/** How long an invitation waits for others to update, when their leaves would keep the next joiner out. */
const JOINABLE_LIMIT_MS = 10_000;
const JOINABLE_POLL_MS = 50;

/** One device's membership in one MLS group, kept in step with the conversation's log. */
export class MlsGroup {
  /** Id of the conversation that took over from this one. */
  successor: string | undefined;
  readonly #options: GroupOptions;
  readonly #log: GroupLog;
  readonly #repair: GroupRepair;
  readonly #commits: GroupCommits;
  readonly #inTurn = createMutex();

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#log = new GroupLog(options);
    this.#repair = new GroupRepair(options, this.#log);
    this.#commits = new GroupCommits(options, this.#log, () => this.#repair.catchUp());
  }

  /** Conversation id. */
  get id(): string {
    return this.#options.id;
  }

  get epoch(): number {
    return this.#log.epoch;
  }

  /** `seq` of the last entry taken from the log. */
  get position(): number {
    return this.#log.position;
  }

  get isRemoved(): boolean {
    return this.#log.isRemoved;
  }

  /** Messages in log order. */
  get history(): readonly ReceivedMessage[] {
    return this.#log.history;
  }

  /** `seq` of messages whose keys this device does not have (any more). */
  get undecryptable(): readonly number[] {
    return this.#log.undecryptable;
  }

  /** User ids, one for each device in the group. */
  get members(): readonly string[] {
    return [...usersByLeaf(this.#log.state).values()];
  }

  get epochAuthenticator(): string {
    return epochAuthenticator(this.#log.state);
  }

  /** Commit races this device lost. */
  get conflicts(): readonly EpochConflict[] {
    return this.#commits.conflicts;
  }

  /** Entries that it could not follow. */
  get stuckAt(): readonly UnprocessableEntry[] {
    return this.#repair.stuckAt;
  }

  /** Proposals that wait for somebody to commit them. */
  get pendingProposals(): number {
    return Object.keys(this.#log.state.unappliedProposals).length;
  }

  /** Encrypts and sends one message (RFC 9420 §6.3). */
  send(text: string): Promise<SendResult> {
    return this.#inTurn(() => this.#noting(this.#send(text)));
  }

  /** Reads the log to its end; gives the messages that were new. */
  receive(): Promise<ReceivedMessage[]> {
    return this.#inTurn(async () => {
      const known = this.#log.history.length;
      await this.#repair.catchUp();
      return this.#log.history.slice(known);
    });
  }

  /** Takes one entry of a live stream; those taken before are passed over. */
  take(entry: Entry): Promise<void> {
    return this.#inTurn(() => this.#repair.take(entry));
  }

  /** Adds devices by the key packages that were claimed for this conversation. */
  async add(keyPackages: readonly KeyPackage[]): Promise<void> {
    const plan = planAdd(keyPackages);
    const end = Date.now() + JOINABLE_LIMIT_MS;
    for (;;) {
      try {
        if ((await this.commit(plan)) === undefined) return;
      } catch (error) {
        if (!(error instanceof NotJoinableError) || Date.now() > end) throw error;
        await sleep(JOINABLE_POLL_MS);
        await this.receive();
      }
    }
  }

  /** Removes all devices of users. */
  async remove(...users: string[]): Promise<void> {
    await this.commit(planRemove(users));
  }

  /** Removes one device, by its signature key. */
  async removeDevice(signatureKey: Uint8Array): Promise<void> {
    await this.commit(planRemoveDevice(signatureKey));
  }

  /** Is the device with this signature key in the group? */
  hasDevice(signatureKey: Uint8Array): boolean {
    return leafWithKey(this.#log.state.ratchetTree, signatureKey) !== undefined;
  }

  /** Fresh keys for this device. */
  async update(): Promise<void> {
    await this.commit(planUpdate);
  }

  /** The next joiner could not come in, and a commit of this device would help. */
  get keepsJoinersOut(): boolean {
    return !this.isRemoved && keepsJoinersOut(this.#log.state);
  }

  /**
   * Commits what is proposed, the removal of those who are leaving, or fresh keys if those keep joiners out; does nothing if
   * there is nothing.
   */
  async settle(): Promise<void> {
    const { leaving } = await this.#options.api.members(this.id, { limit: 1 });
    await this.commit(
      (state) =>
        planRemove(leaving)(state) ?? planPending(state) ?? (keepsJoinersOut(state) ? planUpdate(state) : undefined),
    );
  }

  /**
   * Commits `plan`; whenever another commit wins the epoch, processes that one and builds the commit again. Gives what it
   * committed, `undefined` if nothing was left to do.
   */
  commit(plan: Plan): Promise<Change | undefined> {
    return this.#inTurn(() => this.#noting(this.#commits.commit(plan)));
  }

  /** Proposes to remove all devices of a user; somebody commits it before the next message. */
  async proposeRemove(user: string): Promise<void> {
    const { api } = this.#options;
    await this.#inTurn(async () => {
      for (const proposal of planRemove([user])(this.#log.state) ?? []) {
        await this.#commits.propose(proposal, async (ciphertext) => {
          await api.send(this.id, { id: newId(), ciphertext });
        });
      }
    });
  }

  /**
   * Leaves the conversation with all devices of the user. Nobody can commit the own removal (RFC 9420 §12.4): this device
   * proposes its own, and those who stay commit it.
   */
  async leave(): Promise<void> {
    const { api, user } = this.#options;
    await this.#inTurn(async () => {
      const own = toRemove(this.#log.state.privatePath.leafIndex);
      await this.#noting(
        this.#commits.propose(own, async (proposal) => {
          await api.leave(this.id, user, { proposal });
        }),
      );
      this.#log.wasCutOff = true;
      await this.#log.save();
    });
  }

  /** Supplies the current GroupInfo, where the service has none: without it nobody can join by external commit. */
  async supplyGroupInfo(): Promise<void> {
    await this.#inTurn(async () => {
      const { api, suite } = this.#options;
      await api.supplyGroupInfo(this.id, await groupInfoOf(this.#log.state, suite));
    });
  }

  /** Drops the state and joins again by external commit, as the same device. */
  resync(): Promise<void> {
    return this.#inTurn(() => this.#repair.rejoin());
  }

  /** The conversation is no more. */
  async close(): Promise<void> {
    await this.#inTurn(() => {
      this.#log.wasCutOff = true;
      return this.#log.save();
    });
  }

  /** Ends this object, after what it is at: the device goes on with another state of the group, or with none. */
  async abandon(): Promise<void> {
    await this.#inTurn(() => {
      this.#log.wasCutOff = true;
      this.#options.store.close();
      return Promise.resolve();
    });
  }

  /** Makes durable what the device would need after a crash. */
  save(): Promise<void> {
    return this.#inTurn(() => this.#log.save());
  }

  async #send(text: string): Promise<SendResult> {
    const { api, suite, id } = this.#options;
    const messageId = newId();
    for (let attempt = 1; ; attempt++) {
      // RFC 9420 §12.4: whoever knows of proposals commits them before sending application data.
      await this.#commits.commit(planPending);
      const plaintext = new TextEncoder().encode(text);
      const { unappliedProposals } = this.#log.state;
      // What is left is nothing that this device can commit, for example its own removal.
      const sendable = { ...this.#log.state, unappliedProposals: {} };
      const { newState, privateMessage } = await createApplicationMessage(sendable, plaintext, suite);
      // Other than for a commit, the new state counts before the service answers: it only leaves out one generation of
      // keys if the message is refused, while the old one would encrypt another message with the same key and nonce.
      this.#log.state = { ...newState, unappliedProposals };
      this.#log.sent.set(messageId, text);
      await this.#log.save();
      try {
        const ciphertext = wire({ wireformat: 'mls_private_message', privateMessage });
        return await api.send(id, { id: messageId, ciphertext });
      } catch (error) {
        const isFinal = error instanceof ProblemError && !error.isRetryable;
        if (isFinal) this.#log.sent.delete(messageId); // else it may have been stored, and comes back in the log
        if (!hasCode(error, 'epoch-too-old') || attempt >= MAX_ATTEMPTS) throw error;
        await this.#repair.catchUp();
      }
    }
  }

  /** Remembers where the conversation went, if that is why something was refused. */
  async #noting<T>(task: Promise<T>): Promise<T> {
    try {
      return await task;
    } catch (error) {
      this.successor ??= successorOf(error);
      throw error;
    }
  }
}

function keepsJoinersOut({ ratchetTree, privatePath }: ClientState): boolean {
  return isInTheWay(ratchetTree, privatePath.leafIndex);
}
