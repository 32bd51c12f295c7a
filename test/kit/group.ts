import { setTimeout as sleep } from 'node:timers/promises';
import { createApplicationMessage } from 'ts-mls';
import { newId } from './bytes.ts';
import type { KeyPackageOffer, Plan } from './changes.ts';
import { buildCommit, planAdd, planRemove, planUpdate } from './changes.ts';
import type { GroupOptions, ReceivedMessage } from './group-log.ts';
import { GroupLog } from './group-log.ts';
import { epochAuthenticator, usersByLeaf, wire } from './mls.ts';
import { createMutex } from './mutex.ts';
import type { EpochConflict } from './problem.ts';
import { epochConflict, hasCode, ProblemError } from './problem.ts';
import type { Entry, SendResult } from './types.ts';

const MAX_ATTEMPTS = 20;
/** Losers of a race spread over this time for each one they have lost, so that none loses for ever. */
const JITTER_MS = 20;

/** One device's membership in one MLS group, kept in step with the conversation's log. */
export class MlsGroup {
  /** Commit races this device lost. */
  readonly conflicts: EpochConflict[] = [];
  readonly #options: GroupOptions;
  readonly #log: GroupLog;
  readonly #inTurn = createMutex();

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#log = new GroupLog(options);
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

  /** Encrypts and sends one message (RFC 9420 §6.3). */
  send(text: string): Promise<SendResult> {
    return this.#inTurn(() => this.#send(text));
  }

  /** Reads the log to its end; gives the messages that were new. */
  receive(): Promise<ReceivedMessage[]> {
    return this.#inTurn(() => this.#log.catchUp());
  }

  /** Takes one entry of a live stream; those taken before are passed over. */
  take(entry: Entry): Promise<void> {
    return this.#inTurn(() => this.#log.take(entry));
  }

  add(offers: readonly KeyPackageOffer[]): Promise<void> {
    return this.commit(planAdd(offers));
  }

  remove(user: string): Promise<void> {
    return this.commit(planRemove(user));
  }

  update(): Promise<void> {
    return this.commit(planUpdate);
  }

  /** Commits `plan`; whenever another commit wins the epoch, processes that one and builds the commit again. */
  commit(plan: Plan): Promise<void> {
    return this.#inTurn(() => this.#commit(plan));
  }

  async #send(text: string): Promise<SendResult> {
    const { api, suite, id } = this.#options;
    const messageId = newId();
    for (let attempt = 1; ; attempt++) {
      // RFC 9420 §12.4: whoever knows of proposals commits them before sending application data.
      if (Object.keys(this.#log.state.unappliedProposals).length > 0) await this.#commit(planUpdate);
      const plaintext = new TextEncoder().encode(text);
      const { newState, privateMessage } = await createApplicationMessage(this.#log.state, plaintext, suite);
      // Other than for a commit, the new state counts before the service answers: it only leaves out one generation of
      // keys if the message is refused, while the old one would encrypt another message with the same key and nonce.
      this.#log.state = newState;
      this.#log.sent.set(messageId, text);
      try {
        const ciphertext = wire({ wireformat: 'mls_private_message', privateMessage });
        return await api.send(id, { id: messageId, ciphertext });
      } catch (error) {
        const isFinal = error instanceof ProblemError && !error.isRetryable;
        if (isFinal) this.#log.sent.delete(messageId); // else it may have been stored, and comes back in the log
        if (!hasCode(error, 'epoch-too-old') || attempt >= MAX_ATTEMPTS) throw error;
        await this.#log.catchUp();
      }
    }
  }

  async #commit(plan: Plan): Promise<void> {
    const { api, suite, publicCommits = false } = this.#options;
    for (let lost = 0; ; lost++) {
      const change = plan(this.#log.state);
      if (change === undefined) return;
      const { bundle, newState } = await buildCommit(this.#log.state, change, suite, publicCommits);
      // RFC 9420 §14: making a commit changes nothing; its epoch begins when the service accepts it.
      this.#log.pending.set(bundle.commit, newState);
      try {
        await api.commit(this.id, bundle);
        this.#log.enter(newState);
        return;
      } catch (error) {
        if (error instanceof ProblemError && !error.isRetryable) this.#log.pending.delete(bundle.commit);
        const conflict = epochConflict(error);
        if (conflict === undefined || lost >= MAX_ATTEMPTS) throw error;
        this.conflicts.push(conflict);
        await this.#log.catchUp();
        if (this.epoch <= conflict.submittedEpoch) throw new Error('the winner is not in the log', { cause: error });
        await sleep(Math.random() * JITTER_MS * lost);
      }
    }
  }
}
