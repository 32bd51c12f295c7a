import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode, problemOf } from '../api/problem.ts';
import type { Entry, LogPage } from '../api/types.ts';
import { readStatement, statementData } from '../chain/authenticated-data.ts';
import type { LogAltered, LogEvent } from '../chain/events.ts';
import { KnownChain, LogAlteredError } from '../chain/known-chain.ts';
import type { ChainPosition } from '../chain/position.ts';
import { positionText } from '../chain/position.ts';
import type { Statement } from '../chain/statement.ts';
import { Statements } from '../chain/statements.ts';
import { contentHash } from '../chain/values.ts';
import { devicesOf, usersByLeaf } from '../mls/leaves.ts';
import type { GroupState, GroupView, Leaf, MessageSender, MlsLibrary, Processed } from '../mls/mls-library.ts';
import { toBase64 } from '../platform/bytes.ts';
import type { CommitNote } from '../restart/journal.ts';
import { Journal } from '../restart/journal.ts';
import type { RestartRecord } from '../restart/restart-record.ts';
import type {
  GroupRecord,
  GroupStore,
  OwnProposal,
  QueuedMessage,
  ReceivedMessage,
  SentMessage,
} from '../storage/group-store.ts';
import { MessageHistory } from '../storage/message-history.ts';
import { checkIdentities } from './commit-check.ts';
import type { JoinRequest } from './proposals.ts';
import { joinRequests, selfRemovals } from './proposals.ts';

export interface LogOptions {
  readonly api: Pick<ParleyClient, 'log'>;
  readonly mls: MlsLibrary;
  readonly store: GroupStore;
  /** Conversation id. */
  readonly id: string;
  readonly user: string;
  readonly record: GroupRecord;
  /** Messages that the device read before, in log order. */
  readonly history: readonly ReceivedMessage[];
  /** Called with the leaves that an accepted commit brought, before the group goes on with them. */
  readonly remember: (leaves: readonly Leaf[]) => Promise<void>;
  /** Called with each new message, after the store has saved it. */
  readonly onMessage: (message: ReceivedMessage) => void;
  /** Called with each message that has lost its text, after the store has dropped it. */
  readonly onDeleted: (message: ReceivedMessage) => void;
  /** Called with each new request of an outsider to join. */
  readonly onJoinRequest: (request: JoinRequest) => void;
  /** Called with what the device finds out about the log. */
  readonly onLogEvent: (event: LogEvent) => void;
}

/** The state of a new member, the `seq` of the commit that added it, and the value of the chain there, as the service gave it. */
export interface Joined {
  readonly state: GroupState;
  readonly seq: number;
  readonly chain?: string;
}

/** The service accepted a commit that this device cannot process. */
export class UnprocessableEntry extends Error {
  override readonly name = 'UnprocessableEntry';
  readonly entry: Entry;

  constructor(entry: Entry, cause: unknown) {
    super(`entry ${entry.seq}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.entry = entry;
  }
}

const PAGE_LIMIT = 1000;
/** The log, or this part of it, is not for this device any more. */
const UNREADABLE_CODES = ['removed', 'not-found', 'history-truncated', 'log-restarted'] as const;

/**
 * Finds the first commit after `after` that is one of `commits`.
 * @param commits the state after each commit, by the commit's bytes in base64
 */
export async function findCommit(
  api: LogOptions['api'],
  id: string,
  after: number,
  commits: ReadonlyMap<string, GroupState>,
): Promise<Joined | undefined> {
  for (let from: number | undefined = after; from !== undefined;) {
    const page: LogPage = await api.log(id, { after: from, limit: PAGE_LIMIT, kind: 'commit' });
    for (const { ciphertext = '', seq, chain } of page.entries) {
      const state = commits.get(ciphertext);
      if (state !== undefined) return { state, seq, ...(chain === undefined ? {} : { chain }) };
    }
    from = page.next;
  }
  return undefined;
}

/** The reading half of a group: processes the log, entry by entry, and keeps the MLS state in step with it. */
export class GroupLog implements GroupRecord {
  readonly messages: MessageHistory;
  readonly undecryptable: number[] = [];
  readonly sent: Map<string, SentMessage>;
  readonly pendingCommits: Map<string, GroupState>;
  readonly ownProposals: Map<string, OwnProposal>;
  readonly outbox: QueuedMessage[];
  state: GroupState;
  position: number;
  hasLeft: boolean;
  readonly chain: KnownChain;
  readonly statements: Statements;
  readonly journal: Journal;
  restart: RestartRecord | undefined;
  /** Devices (signature keys) that have sent an authentic message since the log was last restarted, in this process. */
  readonly heard = new Set<string>();
  readonly #options: LogOptions;
  /** The last entry that was told as altered. */
  #toldAltered: LogAltered | undefined;
  /** New messages since the last `takeFresh`. */
  readonly #fresh: ReceivedMessage[] = [];
  /** What the app is told after the next save. */
  readonly #news: (() => void)[] = [];

  constructor(options: LogOptions) {
    const { record, history } = options;
    this.#options = options;
    this.messages = new MessageHistory(history);
    this.state = record.state;
    this.position = record.position;
    this.pendingCommits = new Map(record.pendingCommits);
    this.sent = new Map(record.sent);
    this.ownProposals = new Map(record.ownProposals);
    this.outbox = [...record.outbox];
    this.hasLeft = record.hasLeft;
    this.chain = new KnownChain(record.chain, record.position);
    this.statements = new Statements(this.chain, record.suspected, options.onLogEvent);
    this.journal = new Journal(record.journal);
    this.restart = record.restart;
  }

  /** In the order in which the device got them. */
  get history(): readonly ReceivedMessage[] {
    return this.messages.all;
  }

  /** What can be seen of the state. */
  get view(): GroupView {
    return this.#options.mls.view(this.state);
  }

  get epoch(): number {
    return this.view.epoch;
  }

  /** The epoch that the log has certainly come to: that of the state, or of a lost one the last that the log still has. */
  get knownEpoch(): number {
    if (!this.isDead) return this.epoch;
    const last = this.journal.commits.at(-1);
    return last === undefined ? 0 : last.epoch + 1;
  }

  get suspected(): ReadonlySet<string> {
    return this.statements.suspected;
  }

  get isRemoved(): boolean {
    return this.hasLeft || this.view.isRemoved;
  }

  /** The service has lost the epoch of this state. Nothing can be processed until the device has joined again. */
  get isDead(): boolean {
    return this.restart?.isDead === true;
  }

  /** Signature key of the own leaf, base64. */
  get ownKey(): string {
    const { leaves, ownLeaf } = this.view;
    return leaves.get(ownLeaf)?.device ?? '';
  }

  /** The position that this device has read and verified; `undefined`: the service has given no value for it. */
  get verified(): ChainPosition | undefined {
    return this.chain.at(this.position);
  }

  /** The same as text. With it the service says whether the log goes on from there; a plain `seq` says nothing. */
  get where(): string | undefined {
    const { verified } = this;
    return verified === undefined ? undefined : positionText(verified);
  }

  /** Places of own messages, as the service answered, which this device has not read in the log yet. */
  get accepted(): readonly ChainPosition[] {
    return [...this.sent.values()].flatMap(({ accepted }) => accepted ?? []);
  }

  /** Up to which `seq` the service has answered to this device: with what it has read, and with the places of its own commits and messages. */
  get answeredTo(): number {
    const epochSeq = this.isDead ? 0 : this.chain.epochSeq;
    return Math.max(this.position, epochSeq, ...this.accepted.map(({ seq }) => seq));
  }

  /**
   * What a send or a commit states beside its bytes: it is refused where the log does not go on from there. It is the last position that
   * the service has answered, also one that this device has not read: so no message enters a log that lacks the commit that its epoch began
   * with, and everything that was answered is in one log, or lost from some place on.
   */
  get stance(): { readonly position?: string } {
    const own = [this.chain.at(this.chain.epochSeq) ?? [], this.accepted].flat();
    const ahead = own.filter(({ seq }) => seq > this.position).sort((a, b) => b.seq - a.seq);
    const [last = this.verified] = ahead;
    return last === undefined ? {} : { position: positionText(last) };
  }

  /** What a message of this device says in its authenticated_data. @param messageId it stays the same on a second try */
  stated(messageId: string): Uint8Array {
    const { verified } = this;
    const statement = { messageId, ...(verified === undefined ? {} : { position: verified }) };
    return statementData(statement, this.view.usesSafeAad);
  }

  /** Saves everything that the device needs after a crash. */
  async save(): Promise<void> {
    const { changes } = this.messages;
    const news = this.#news.length;
    await this.#options.store.save(this, changes);
    this.messages.saved(changes.length);
    // Not before: what the app has shown must be there after a crash.
    for (const tell of this.#news.splice(0, news)) tell();
  }

  tell(event: LogEvent): void {
    this.#options.onLogEvent(event);
  }

  /**
   * Gives up everything above `seq`, which the service has lost. Save it afterwards.
   * @param isDead a commit above it is part of the state: the state goes
   * @returns the lost commits, and the number of lost messages
   */
  async lose(seq: number, isDead: boolean): Promise<{ commits: readonly CommitNote[]; messages: number }> {
    const { commits, proposals } = this.journal.lose(seq);
    const { mls, store } = this.#options;
    // What is left of a state that was lost before stays: it reads messages of an epoch that the log still has.
    const isRest = this.isDead && commits.length === 0;
    if (isDead && !isRest) {
      this.state = mls.readable(this.state, commits[0]?.epoch);
      this.pendingCommits.clear();
      this.ownProposals.clear();
    } else if (!isDead) {
      this.state = mls.withoutProposals(this.state, proposals);
    }
    this.requeue('unanswered');
    this.requeue('accepted', seq);
    this.heard.clear();
    this.chain.lose(seq);
    this.position = Math.min(this.position, seq);
    // Deletions that are made from now on stand at places that the lost part of the log had too.
    await store.saveDeletionsReadTo(Math.min(await store.deletionsReadTo(), seq));
    return { commits, messages: this.messages.lose({ above: seq, at: Date.now() }) };
  }

  /**
   * Processes the log to its end.
   * @throws UnprocessableEntry
   * @throws LogAlteredError
   */
  async catchUp(): Promise<void> {
    if (this.isRemoved || this.isDead) return;
    try {
      await this.#read((entry) => this.#processNext(entry));
      // The own user left, or only another device of it: a second request is refused with `removed` if the user left.
      if (this.#isOwnUserLeaving()) await this.#read((entry) => this.#processNext(entry));
    } catch (error) {
      // Not a failure: a removed member has read everything that it may read.
      if (!hasCode(error, 'removed')) throw error;
      this.hasLeft = true;
    } finally {
      await this.save();
    }
  }

  /** The messages of this device that the service has lost, and nobody has deleted. */
  get ownLost(): readonly (ReceivedMessage & { readonly id: string })[] {
    const own = this.ownKey;
    return this.history.filter(
      (one): one is ReceivedMessage & { readonly id: string } =>
        one.lost !== undefined && one.device === own && one.id !== undefined && one.isDeleted !== true,
    );
  }

  /** Gives up lost messages, which another group has now, and saves that. */
  async dropLost(messages: readonly ReceivedMessage[]): Promise<void> {
    for (const message of messages) this.messages.drop(message);
    if (messages.length > 0) await this.save();
  }

  /**
   * What was encrypted is encrypted again: what it states about the log does not hold any more.
   * @param which messages of the outbox without an answer, or all that the service had accepted, and that the log does not have
   * @param above only those that were accepted after this `seq`
   */
  requeue(which: 'unanswered' | 'accepted', above = 0): void {
    const shown = new Set(this.ownLost.map(({ id }) => id));
    const again = [...this.sent].flatMap(([entryId, { text, queued, accepted, messageId: id = entryId }]) => {
      if ((accepted !== undefined) !== (which === 'accepted')) return [];
      if (accepted === undefined ? queued === undefined : accepted.seq <= above) return [];
      this.sent.delete(entryId);
      // The history has it: it was lost once more, before this device had read it again.
      if (shown.has(id)) return [];
      const { at, push, isLost }: Omit<QueuedMessage, 'id' | 'text'> = queued ?? { at: Date.now(), push: 'none' };
      const lost = accepted !== undefined || isLost === true ? ({ isLost: true } as const) : {};
      return [{ id, text, at, ...(push === undefined ? {} : { push }), ...lost }];
    });
    this.outbox.unshift(...again);
  }

  /** Something waits in the outbox that the service had accepted, and lost. */
  get hasLostInOutbox(): boolean {
    const sent = [...this.sent.values()].some(
      ({ queued, accepted }) => queued?.isLost === true && accepted === undefined,
    );
    return sent || this.outbox.some(({ isLost, refused }) => isLost === true && refused === undefined);
  }

  /** The messages that came since the last call, in the order in which they came. */
  takeFresh(): ReceivedMessage[] {
    return this.#fresh.splice(0);
  }

  /**
   * Processes an entry of a live stream. Ignores an entry that was processed before.
   * @throws UnprocessableEntry
   * @throws LogAlteredError
   */
  async process(entry: Entry): Promise<void> {
    if (this.isDead) return;
    const fits = this.chain.fits(entry);
    if (entry.seq <= this.position && fits) return;
    // The stream started after this position, or left out expired entries. Or the log was restarted, while the stream was
    // connecting: the answer to a position says so, and is no alarm.
    if (entry.seq !== this.position + 1 || !fits) {
      await this.catchUp();
      return;
    }
    await this.#processNext(entry);
    await this.save();
  }

  /** Drops the texts of deleted messages, as far as the device has read them, and saves that. */
  async dropTexts(seqs: readonly number[]): Promise<void> {
    for (const seq of seqs) {
      const dropped = this.messages.dropText(seq);
      if (dropped !== undefined) this.#news.push(() => this.#options.onDeleted(dropped));
    }
    if (seqs.length > 0) await this.save();
  }

  /**
   * Enters the epoch that the commit `seq` started. All other pending commits of the last epoch have lost (RFC 9420 §12.4).
   * @param epoch with what the service answered to an own commit, which this device has not read yet: if the log loses it, only this tells
   */
  async enterEpoch({ state, seq, chain }: Joined, isOwn: boolean): Promise<void> {
    const { mls, remember } = this.#options;
    const [before, after] = [this.view, mls.view(state)];
    const known = devicesOf(before);
    await remember([...after.leaves.values()].filter(({ device }) => !known.has(device)));
    this.journal.noteCommit(before, after, seq, isOwn);
    this.state = state;
    this.chain.epochSeq = seq;
    if (chain !== undefined && seq > this.position) this.chain.begin({ seq, chain });
    this.pendingCommits.clear();
    this.ownProposals.clear();
  }

  /**
   * Continues with the state after an external commit of this device, the entry `seq`. Decrypts the messages before this
   * entry with the old state, as far as it has their keys, and keeps these keys for messages that come late.
   * @throws Error if the messages could not be read now: the commit stays pending, and the next task finds it in the log
   */
  async rejoin({ state, seq, ...rest }: Joined): Promise<void> {
    await this.#read(async (entry) => {
      this.#follow(entry);
      if (entry.seq < seq && entry.kind === 'application') await this.#processApplication(entry);
      this.position = entry.seq;
      return entry.seq < seq;
    }).catch((error: unknown) => {
      // Messages that the device may not read any more, or cannot follow, stay unread.
      if (!hasCode(error, ...UNREADABLE_CODES) && !(error instanceof LogAlteredError)) throw error;
    });
    await this.enterEpoch({ state: this.#options.mls.withPastEpochs(state, this.state), seq, ...rest }, true);
    this.position = seq;
    this.hasLeft = false;
    if (this.restart !== undefined) this.restart = { ...this.restart, isDead: false };
    await this.save();
  }

  /** Continues with a pending commit of this device if it is further on in the log: the service accepted it. */
  async adoptPendingCommit(): Promise<boolean> {
    if (this.pendingCommits.size === 0) return false;
    const { api, id } = this.#options;
    const found = await findCommit(api, id, this.position, this.pendingCommits);
    if (found === undefined) return false;
    await this.rejoin(found);
    return true;
  }

  /** Gives entry after entry to `process`, until the log ends or `process` returns false. */
  async #read(process: (entry: Entry) => Promise<boolean>): Promise<void> {
    const { api, id } = this.#options;
    for (let more = true; more;) {
      const page = await api.log(id, { after: this.where ?? this.position, limit: PAGE_LIMIT });
      for (const [place, entry] of page.entries.entries()) {
        const { chainBefore = place === 0 ? page.chainBefore : undefined } = entry;
        if (!(await process(chainBefore === undefined ? entry : { ...entry, chainBefore }))) return;
      }
      more = page.next !== undefined;
      if (more) await this.save();
    }
  }

  /** @returns whether this state can process the entries after this one */
  async #processNext(entry: Entry): Promise<boolean> {
    if (entry.seq <= this.position) return true;
    // A membership interval has no gaps. After a gap comes a later interval, which began with another MLS state.
    if (entry.seq !== this.position + 1) this.hasLeft = true;
    if (this.isRemoved) return false;
    this.#missOwn(entry);
    this.#follow(entry);
    if (entry.kind === 'application') await this.#processApplication(entry);
    else if (entry.ciphertext !== undefined) await this.#processHandshake(entry, entry.ciphertext);
    this.position = entry.seq;
    return true;
  }

  /** Verifies that the entry follows from the log before it. */
  #follow(entry: Entry): void {
    try {
      this.chain.follow(entry);
    } catch (error) {
      if (!(error instanceof LogAlteredError)) throw error;
      const { seq, given } = error.event;
      const isNew = this.#toldAltered?.seq !== seq || this.#toldAltered.given !== given;
      this.#toldAltered = error.event;
      if (isNew) this.#options.onLogEvent(error.event);
      throw error;
    }
  }

  async #processHandshake(entry: Entry, ciphertext: string): Promise<void> {
    // An own commit that was accepted at once, or a proposal of an ended epoch, which is of no use (RFC 9420 §12.4).
    if (entry.epoch < this.epoch) return;
    if (entry.kind === 'proposal') return this.#processProposal(entry, ciphertext);
    const own = this.pendingCommits.get(ciphertext);
    // The service accepted this own commit, but its answer was lost. An external one begins without the keys of the epochs before it.
    const { mls } = this.#options;
    if (own !== undefined) await this.enterEpoch({ state: mls.withPastEpochs(own, this.state), seq: entry.seq }, true);
    else await this.#processCommit(entry, ciphertext);
  }

  async #processApplication(entry: Entry): Promise<void> {
    const { seq, epoch, id, ciphertext } = entry;
    const at = entry.at === undefined ? {} : { at: Date.parse(entry.at) };
    const own = this.#takeOwn(entry);
    if (own !== undefined) {
      this.#addMessage({ seq, epoch, sender: this.#options.user, ...own, device: this.ownKey, ...at }, true);
      return;
    }
    if (ciphertext === undefined) return; // expired
    try {
      const result = await this.#options.mls.process(this.state, ciphertext);
      if (result.kind !== 'application') throw new Error('not an application message');
      this.state = result.state;
      const statement = this.#statementIn(result.authenticatedData);
      this.#hear(entry, result.sender, statement);
      const text = new TextDecoder().decode(result.data);
      const messageId = statement?.messageId ?? id;
      const { user, device } = result.sender;
      this.#addMessage(
        {
          ...{ seq, epoch, sender: user, text, device, ...at },
          ...(messageId === undefined ? {} : { id: messageId }),
        },
        statement !== undefined,
      );
    } catch {
      // After a deep restore a device may go back further than the log did. Then it reads messages again whose keys are used.
      if (this.messages.findAgain(entry)) return;
      // One bad message of one member must not stop the group for this device.
      this.undecryptable.push(seq);
    }
  }

  /**
   * The own message that this entry is. Its bytes say so, also where the service has only their hash any more; the id in the
   * entry is not authentic.
   */
  #takeOwn(entry: Entry): { readonly text: string; readonly id: string } | undefined {
    if (this.sent.size === 0) return undefined;
    const hash = contentHash(entry);
    const digest = hash === undefined ? undefined : toBase64(hash);
    for (const [id, sent] of this.sent) {
      if (sent.digest === undefined ? id !== entry.id : sent.digest !== digest) continue;
      this.sent.delete(id);
      return { text: sent.text, id: sent.messageId ?? id };
    }
    return undefined;
  }

  /**
   * The service had accepted own commits and messages for places in the log that this device has not read yet. Another entry in such a place
   * proves that the log was restarted. So does the commit of somebody else before an own one: the service accepts one in each epoch, and this
   * device had followed all of the epochs before its own.
   * @throws ProblemError `log-restarted`
   */
  #missOwn({ seq, kind, chain }: Entry): void {
    const { epochSeq } = this.chain;
    const isOwn = seq <= epochSeq && this.journal.commits.some((commit) => commit.seq === seq);
    const answered = [...this.accepted, ...(isOwn ? [this.chain.at(seq) ?? []].flat() : [])];
    const isOther = answered.some((own) => own.seq === seq && chain !== undefined && own.chain !== chain);
    const isForeign = kind === 'commit' ? seq < epochSeq && !isOwn : isOwn;
    if (!isOther && !isForeign) return;
    throw problemOf(409, 'log-restarted', `Entry ${seq} contradicts what was accepted`, { lastSeq: seq - 1 });
  }

  /** @param isStated the message itself says its id */
  #addMessage(message: ReceivedMessage, isStated: boolean): void {
    const lost = this.messages.add(message, isStated);
    if (lost === 'new') {
      this.#fresh.push(message);
      this.#news.push(() => this.#options.onMessage(message));
    } else if (lost !== 'known') {
      this.#news.push(() => this.tell({ type: 'message-found', seq: message.seq, lostSeq: lost.seq }));
    }
  }

  #isOwnUserLeaving(): boolean {
    const users = usersByLeaf(this.view);
    return selfRemovals(this.view).some((leaf) => users.get(leaf) === this.#options.user);
  }

  /**
   * Keeps the proposal, also one that this device would not commit: a commit of another member can contain it, and a device
   * that does not have it cannot process that commit.
   */
  async #processProposal(entry: Entry, ciphertext: string): Promise<void> {
    const own = this.ownProposals.get(ciphertext);
    if (own !== undefined) {
      this.ownProposals.delete(ciphertext);
      this.state = this.#options.mls.withProposal(this.state, own.ref, own.proposal);
      this.journal.noteProposals(this.view, entry.seq);
      return;
    }
    const known = new Set(joinRequests(this.view).map(({ ref }) => ref));
    try {
      const result = await this.#options.mls.process(this.state, ciphertext);
      if (result.kind !== 'proposal') throw new Error('not a proposal');
      this.state = result.state;
      this.#hear(entry, result.sender, this.#statementIn(result.authenticatedData));
    } catch {
      // Ignored: no member can commit an invalid proposal.
    }
    this.journal.noteProposals(this.view, entry.seq);
    for (const request of joinRequests(this.view)) if (!known.has(request.ref)) this.#options.onJoinRequest(request);
  }

  async #processCommit(entry: Entry, ciphertext: string): Promise<void> {
    const { state, sender, authenticatedData } = await this.#readCommit(entry, ciphertext);
    this.#hear(entry, sender, this.#statementIn(authenticatedData));
    await this.enterEpoch({ state, seq: entry.seq }, false);
  }

  async #readCommit(entry: Entry, ciphertext: string): Promise<Processed> {
    const { mls } = this.#options;
    try {
      const result = await mls.process(this.state, ciphertext);
      if (result.kind !== 'commit') throw new Error('not a commit');
      checkIdentities(this.view, mls.view(result.state), result);
      return result;
    } catch (error) {
      throw new UnprocessableEntry(entry, error);
    }
  }

  /** Compares what an authentic message states about the log with what this device has read. */
  #hear({ seq, epoch }: Entry, sender: MessageSender | undefined, statement: Statement | undefined): void {
    if (sender !== undefined) this.heard.add(sender.device);
    if (sender !== undefined) this.statements.hear({ seq, epoch, sender, theirs: statement?.position });
  }

  #statementIn(authenticatedData: Uint8Array): Statement | undefined {
    return readStatement(authenticatedData, this.view.usesSafeAad);
  }
}
