import { Mutex } from 'async-mutex';
import { Acknowledgements } from '../api/acknowledgements.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode, isRefusal, successorOf } from '../api/problem.ts';
import type { Member, NewPolicy, PendingWelcome } from '../api/types.ts';
import { DeletionSecrets } from '../group/deletion-secrets.ts';
import type { LogEvent } from '../chain/events.ts';
import { chainOrigin } from '../chain/values.ts';
import type { Joined } from '../group/group-log.ts';
import { findCommit } from '../group/group-log.ts';
import type { RejoinReason, RepairOptions } from '../group/group-repair.ts';
import type { Replacement } from '../group/group-restart.ts';
import type { GroupApi } from '../group/group.ts';
import type { OutboxMessage } from '../group/group-messages.ts';
import type { ReceivedSignal } from '../group/group-signals.ts';
import { MlsGroup } from '../group/group.ts';
import type { BeforeCommit, JoinContext } from '../group/joining.ts';
import { askToJoin, joinByWelcome, joinExternally } from '../group/joining.ts';
import type { JoinRequest } from '../group/proposals.ts';
import type { GroupState, Leaf, LoadMls, MlsLibrary } from '../mls/mls-library.ts';
import { CIPHER_SUITE } from '../mls/mls-library.ts';
import { fromBase64, fromBase64Url, toBase64Url } from '../platform/bytes.ts';
import type { DeviceStore, StoreChange } from '../storage/device-store.ts';
import { memoryStore } from '../storage/device-store.ts';
import type { GroupRecord, QueuedMessage, ReceivedMessage } from '../storage/group-store.ts';
import { GroupStore, storedGroups, storedJoins } from '../storage/group-store.ts';
import { NO_CHANGES } from '../restart/lost-changes.ts';
import type { RestartRecord } from '../restart/restart-record.ts';
import type { AuthenticationService } from './authentication.ts';
import { trustOnFirstUse } from './authentication.ts';
import type { DeviceIdentity } from './identity.ts';
import { loadIdentity } from './identity.ts';
import type { ClaimContext } from './claims.ts';
import type { Invitation } from './invite.ts';
import { invite } from './invite.ts';
import { KeyPackagePool } from './key-packages.ts';
import type { LiveRunOptions, MessageListener, SignalListener } from './live-run.ts';
import { runLive } from './live-run.ts';

/** What a device needs of the service: a {@link ParleyClient}. */
export type DeviceApi = GroupApi &
  Pick<
    ParleyClient,
    | 'createConversation'
    | 'welcomes'
    | 'ackWelcome'
    | 'uploadKeyPackages'
    | 'replaceKeyPackages'
    | 'keyPackageCount'
    | 'claimKeyPackages'
    | 'claimGroupKeyPackages'
    | 'ack'
    | 'reset'
    | 'followAll'
    | 'externalSender'
    | 'epoch'
  >;

/** What a device is made of. */
export interface DeviceOptions {
  readonly api: DeviceApi;
  /** The MLS library: `tsMls`, say. It stays the same for a store. */
  readonly mls: LoadMls;
  /** The user id in the token (`sub`). */
  readonly user: string;
  /** The device id in the token (claim `device`). */
  readonly device: string;
  /** @default a store in memory */
  readonly store?: DeviceStore;
  /** @default trust on first use */
  readonly authentication?: AuthenticationService;
  /** Sends commits and proposals as PublicMessage, so that the service can check their content. @default false */
  readonly publicCommits?: boolean;
  /**
   * Commits new keys at once after joining. Until then the key of the leaf is as old as its KeyPackage, and the leaf is
   * unmerged (RFC 9420 §7.7), which makes all commits of the group longer and can block joiners. @default true
   */
  readonly updateOnJoin?: boolean;
  /**
   * Number of the cipher suite of its key packages and groups (RFC 9420 §17.1). It stays the same for a store. Some need
   * optional packages of the MLS library. @default 1, which every MLS client has
   */
  readonly cipherSuite?: number;
  /**
   * New groups list the service in `external_senders`, so that it can propose to remove users and devices that an operator
   * removed (RFC 9420 §12.1.8.1). Every member's program must know the extension. @default false
   */
  readonly externalSender?: boolean;
  /** Opens what is in the store, and asks the service for nothing: a live run does it. @default false */
  readonly isOffline?: boolean;
  /** Number of key packages that the service should hold. @default 20 */
  readonly keyPackages?: number;
  /** Called after each join by external commit, with the reason for it. */
  readonly onRejoin?: (group: MlsGroup, reason: RejoinReason) => void;
  /** Called when somebody asks to join a group. `group.admit(request)` lets it in; without an answer the request ends. */
  readonly onJoinRequest?: (group: MlsGroup, request: JoinRequest) => void;
  /** Called when the state of a message in an outbox has changed (`group.enqueue`). */
  readonly onOutgoing?: (group: MlsGroup, message: OutboxMessage) => void;
  /** Called with each message whose text was deleted, after the store has dropped it. */
  readonly onDeleted?: (group: MlsGroup, message: ReceivedMessage) => void;
  /** Called with what the device finds out about a log (docs/explanation/integrity.md). */
  readonly onLogEvent?: (group: MlsGroup, event: LogEvent) => void;
}

interface Parts {
  readonly mls: MlsLibrary;
  readonly identity: DeviceIdentity;
  readonly store: DeviceStore;
  readonly authentication: AuthenticationService;
}

const GROUP_ID_BYTES = 16;
const KEY_PACKAGES = 20;
/** Key of the store: the incarnation of the service that the device knows. */
const INCARNATION = 'incarnation';
/** Many groups find out about the same restore, one after the other. */
const RENEWAL_MS = 60_000;

/**
 * One device of a user: its identity, its key packages and its groups. All of this is in its store, so a device continues
 * after a crash from its last state.
 */
export class MlsDevice {
  readonly user: string;
  readonly device: string;
  /** By conversation id. */
  readonly groups = new Map<string, MlsGroup>();
  readonly keyPackages: KeyPackagePool;
  readonly #options: DeviceOptions;
  readonly #parts: Parts;
  readonly #acknowledgements: Acknowledgements;
  readonly #deletionSecrets: DeletionSecrets;
  readonly #listeners = new Set<MessageListener>();
  readonly #signalListeners = new Set<SignalListener>();
  /** One join at a time: of two external commits of one device, each would remove the leaf of the other. */
  readonly #joinMutex = new Mutex();
  /** Time at which everything that the service holds of this device was last renewed, and the renewal that is under way. */
  #renewedAt = -Infinity;
  #renewing: Promise<void> | undefined;

  private constructor(options: DeviceOptions, parts: Parts) {
    const { api, user, device, keyPackages: size = KEY_PACKAGES } = options;
    this.user = user;
    this.device = device;
    this.#options = options;
    this.#parts = parts;
    this.#acknowledgements = new Acknowledgements(api, (conversation) => {
      // The next read gets the same answer, and can do something about it.
      this.groups
        .get(conversation)
        ?.receive()
        .catch(() => undefined);
    });
    this.#deletionSecrets = new DeletionSecrets(parts.store);
    this.keyPackages = new KeyPackagePool({ ...parts, api, size });
  }

  /** Opens the device in the store, or makes a new one, and uploads its missing key packages. */
  static async open(options: DeviceOptions): Promise<MlsDevice> {
    const { store = memoryStore() } = options;
    const authentication = options.authentication ?? trustOnFirstUse(store);
    const verify = (user: string, signatureKey: Uint8Array): Promise<boolean> =>
      authentication.verify({ user, signatureKey });
    const mls = await options.mls({ cipherSuite: options.cipherSuite ?? CIPHER_SUITE, verify });
    const identity = await loadIdentity(store, options, mls);
    const device = new MlsDevice(options, { mls, identity, store, authentication });
    await device.#restore();
    if (options.isOffline !== true) await device.begin();
    return device;
  }

  /** What a device has to ask the service at its start: it ends joins that a crash interrupted, and uploads missing key packages. */
  async begin(): Promise<void> {
    for (const id of await storedJoins(this.#parts.store)) await this.#resumeJoin(id);
    await this.keyPackages.topUp();
  }

  /** Public key with which the device signs. It stays the same. */
  get signatureKey(): Uint8Array {
    return this.#parts.identity.signatureKeyPair.publicKey;
  }

  /** The group of a conversation. @throws Error if the device has no such group */
  group(conversation: string): MlsGroup {
    const group = this.groups.get(conversation);
    if (group === undefined) throw new Error(`this device is not in the group ${conversation}`);
    return group;
  }

  /**
   * Creates a group and its conversation. Both have the same id (RFC 9420 §11).
   * @param id a second call with it goes on with the first: also where that one did not come to its end. @default a new one
   */
  async createGroup(policy?: NewPolicy, id = newGroupId()): Promise<MlsGroup> {
    const known = this.groups.get(id);
    if (known !== undefined && (known.position > 0 || known.epoch > 0)) return known;
    const before = known === undefined ? undefined : (await this.#storeOf(id).load())?.state;
    const { mls } = this.#parts;
    const state = before ?? (await this.#newState(fromBase64Url(id)));
    // First the state: a conversation whose only group state is lost would be of no use.
    const group = known ?? (await this.#addGroup(id, { state, seq: 0, chain: chainOrigin(id, 0) }));
    const groupInfo = await mls.groupInfo(state);
    try {
      await this.#options.api.createConversation({ id, groupInfo, ...(policy === undefined ? {} : { policy }) });
    } catch (error) {
      // Without a refusal the service may have it: then the next call finds it, with the only state.
      if (!isRefusal(error)) throw error;
      if (known !== undefined && hasCode(error, 'conversation-exists') && (await this.#isCreator(id))) return group;
      await this.forget(id);
      throw error;
    }
    return group;
  }

  /** This user has been in the conversation from its beginning. */
  async #isCreator(conversation: string): Promise<boolean> {
    for await (const { user, joinedSeq } of this.#membersOf(conversation))
      if (user === this.user) return joinedSeq === 0;
    return false;
  }

  /** Reads the members that the service lists, page after page. */
  async *#membersOf(conversation: string): AsyncGenerator<Member> {
    let cursor: string | undefined;
    do {
      const page = await this.#options.api.members(conversation, cursor === undefined ? {} : { cursor });
      yield* page.members;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** Adds all devices of users. For the own user, adds the other devices. */
  invite(conversation: string, ...users: string[]): Promise<Invitation> {
    return invite(this.#inviteContext(), this.group(conversation), users);
  }

  /** Joins the groups of all waiting Welcomes and returns them. @throws AggregateError with the failures, after all joins */
  async joinGroups(): Promise<MlsGroup[]> {
    const joined: MlsGroup[] = [];
    const errors: unknown[] = [];
    for (const pending of await this.#options.api.welcomes()) {
      try {
        const group = await this.#joinMutex.runExclusive(() => this.#joinByWelcome(pending));
        if (group !== undefined) joined.push(group);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'some groups could not be joined');
    return joined;
  }

  /**
   * Joins by external commit: as a new device of a member, after the loss of the group's state, or if the policy is open.
   * If a Welcome waits for this device, joins by it instead: only the Welcome can read the messages since it was sent.
   */
  joinExternally(conversation: string): Promise<MlsGroup> {
    return this.#joinMutex.runExclusive(
      async () =>
        (await this.#joinByWaitingWelcome(conversation)) ??
        (await this.#joinExternally(conversation, { kind: 'requested' })),
    );
  }

  /** The same, unless the device is in the group, or another task of it joins first. */
  joinMissing(conversation: string): Promise<MlsGroup> {
    return this.#joinMutex.runExclusive(async () => {
      const known = this.groups.get(conversation);
      if (known?.isRemoved === false) return known;
      const joined = await this.#joinByWaitingWelcome(conversation);
      return joined ?? (await this.#joinExternally(conversation, { kind: 'requested' }));
    });
  }

  /**
   * Asks to join a group whose policy lets outsiders ask (`externalJoin`). A member that admits the request sends a Welcome.
   * Without one the request ends with the epoch.
   */
  async askToJoin(conversation: string): Promise<void> {
    await askToJoin(this.#joinContext(), conversation, await this.keyPackages.spare());
  }

  /**
   * Joins the groups of all waiting Welcomes, reads every group to its end, and acknowledges the entries.
   * @throws Error of what failed, or AggregateError, after all that could be done
   */
  async sync(): Promise<void> {
    const errors: unknown[] = [];
    const attempt = (task: Promise<unknown>): Promise<unknown> => task.catch((error: unknown) => errors.push(error));
    await attempt(this.joinGroups());
    for (const group of this.groups.values()) if (!group.isRemoved) await attempt(group.receive());
    await this.#renewing;
    await attempt(this.ack());
    if (errors.length > 1) throw new AggregateError(errors, 'some groups could not be read');
    for (const error of errors) throw error;
  }

  /**
   * The service says which incarnation of itself it is. Another one than before was restored to an older state: then this device
   * finds out what each group has lost.
   */
  async meet(incarnation: string): Promise<void> {
    const { store } = this.#parts;
    const known = await store.get(INCARNATION);
    if (known === incarnation) return;
    if (known !== undefined) {
      for (const group of this.groups.values()) if (!group.isRemoved) await group.compare();
      await this.#renew();
    }
    await store.write([[INCARNATION, incarnation]]);
  }

  /** Acknowledges the processed entries of all groups. */
  async ack(): Promise<void> {
    for (const group of this.groups.values()) this.acknowledgeSoon(group);
    await this.#acknowledgements.flush();
  }

  /** Acknowledges the processed entries of a group with the next batch. */
  acknowledgeSoon(group: MlsGroup): void {
    // The service needs no positions of a removed member.
    if (!group.isRemoved) this.#acknowledgements.add(group.id, { seq: group.position, where: group.where });
  }

  /** Calls `listener` with each new message of every group. Returns a function that removes the listener. */
  onMessage(listener: MessageListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` with each signal that a live run gets. Returns a function that removes the listener. */
  onSignal(listener: SignalListener): () => void {
    this.#signalListeners.add(listener);
    return () => this.#signalListeners.delete(listener);
  }

  /** Follows all groups live until the signal aborts or a newer run of the same device replaces this one. */
  run(options: LiveRunOptions = {}): Promise<void> {
    return runLive(this, this.#options.api, options);
  }

  /** Deletes a group's secrets; its messages stay. */
  forget(conversation: string): Promise<void> {
    return this.#joinMutex.runExclusive(async () => {
      await this.groups.get(conversation)?.abandon();
      this.groups.delete(conversation);
      await this.#storeOf(conversation).deleteState();
    });
  }

  /**
   * Replaces the conversation by a new one with the same members, when most of them cannot process its log any more. The
   * other devices join the new group by Welcome.
   */
  reset(conversation: string): Promise<MlsGroup> {
    return this.#reset(conversation, { without: [], including: [] });
  }

  async #reset(conversation: string, { without, including }: Replacement): Promise<MlsGroup> {
    const { api } = this.#options;
    const successor = newGroupId();
    const state = await this.#newState(fromBase64Url(successor));
    const groupInfo = await this.#parts.mls.groupInfo(state);
    await api.reset(conversation, successor);
    const old = this.groups.get(conversation);
    if (old !== undefined) old.successor = successor;
    const group = await this.#addGroup(successor, { state, seq: 0, chain: chainOrigin(successor, 0) });
    // Before anybody can join: the service takes its members from the old conversation.
    if (without.length > 0) await group.expel(without);
    else await api.supplyGroupInfo(successor, groupInfo);
    const users = new Set<string>(including);
    // Only the service says whom the new conversation has. A device without the old group can but believe it.
    const isBelieved = (user: string): boolean => old?.believedMembers.has(user) ?? true;
    for await (const { user } of this.#membersOf(successor)) if (isBelieved(user)) users.add(user);
    await this.invite(successor, ...users);
    return group;
  }

  /** The old conversation has a successor now: that of this device, or that of another member that was faster. */
  async #replace(conversation: string, replacement: Replacement): Promise<void> {
    try {
      await this.#reset(conversation, replacement);
    } catch (error) {
      const successor = successorOf(error);
      if (successor === undefined) throw error;
      this.group(conversation).successor ??= successor;
    }
  }

  /** A restore made spent key packages claimable again, and took acknowledgements back. */
  #renew(): Promise<void> {
    const renew = async (): Promise<void> => {
      this.#acknowledgements.forget();
      // A Welcome that waits may need one of the old key packages.
      await this.joinGroups().catch(() => undefined);
      await this.keyPackages.replace();
      this.#renewedAt = Date.now();
    };
    if (Date.now() - this.#renewedAt < RENEWAL_MS) return Promise.resolve();
    this.#renewing ??= renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #newState(groupId: Uint8Array): Promise<GroupState> {
    const { api, externalSender: isWanted = false } = this.#options;
    const { mls, identity } = this.#parts;
    const externalSender = isWanted ? await api.externalSender(mls.cipherSuite) : undefined;
    return mls.create(groupId, identity, externalSender);
  }

  #storeOf(conversation: string, also: readonly StoreChange[] = []): GroupStore {
    return new GroupStore(this.#parts.store, conversation, this.#parts.mls, also);
  }

  async #joinByWaitingWelcome(conversation: string): Promise<MlsGroup | undefined> {
    if (this.groups.get(conversation)?.isRemoved === false) return undefined;
    const pending = (await this.#options.api.welcomes()).find((welcome) => welcome.conversation === conversation);
    return pending === undefined ? undefined : this.#joinByWelcome(pending);
  }

  async #joinExternally(conversation: string, reason: RejoinReason): Promise<MlsGroup> {
    const known = this.groups.get(conversation);
    if (known?.isRemoved === false) {
      // The device joined by a Welcome meanwhile.
      await known.resync(reason);
      return known;
    }
    const store = this.#storeOf(conversation);
    const beforeCommit: BeforeCommit = (commit, state) => store.saveJoin(commit, state);
    const joined = await joinExternally({ ...this.#joinContext(), beforeCommit }, conversation);
    const group = await this.#addGroup(conversation, joined);
    await store.deleteJoin();
    this.#options.onRejoin?.(group, reason);
    return group;
  }

  /** Completes a join by external commit: the device crashed before it got the answer of the service. */
  async #resumeJoin(id: string): Promise<void> {
    const store = this.#storeOf(id);
    const join = await store.loadJoin();
    if (join !== undefined && !this.groups.has(id)) {
      const found = await this.#findJoin(id, join);
      if (found !== undefined) await this.#addGroup(id, found);
    }
    await store.deleteJoin();
  }

  /** The external commit in the log; `undefined` if it lost its epoch, or if this user may not read the log. */
  async #findJoin(id: string, { commit, state }: { commit: string; state: GroupState }): Promise<Joined | undefined> {
    try {
      return await findCommit(this.#options.api, id, 0, new Map([[commit, state]]));
    } catch (error) {
      if (!hasCode(error, 'not-found', 'removed', 'history-truncated')) throw error;
      return undefined;
    }
  }

  /** Joins by one Welcome, or by external commit if the device cannot use the Welcome. */
  async #joinByWelcome(pending: PendingWelcome): Promise<MlsGroup | undefined> {
    const { api, updateOnJoin = true } = this.#options;
    const { conversation } = pending;
    const known = this.groups.get(conversation);
    // The user was removed and added again while this device was offline: first read the rest of the old membership interval.
    if (known !== undefined && known.position < pending.seq) await known.receive().catch(() => undefined);
    // Or the commit that had added this device is lost, and another one has added it again.
    if (known !== undefined && known.position >= pending.seq) await known.compare();
    const own = await this.keyPackages.findFor(pending.welcome);
    if (known !== undefined && !known.isRemoved && !known.isDead && known.position >= pending.seq) {
      // A crash came before it.
      if (own !== undefined) await this.keyPackages.spend(own);
      await api.ackWelcome(pending.id);
      return undefined;
    }
    let group: MlsGroup | undefined;
    if (own !== undefined) {
      try {
        const joined = await joinByWelcome(this.#joinContext(), pending, own);
        const { epochAuthenticator } = this.#parts.mls.view(joined.state);
        if (await this.keyPackages.hasBegun(epochAuthenticator)) throw new Error('the Welcome was used before');
        group = await this.#addGroup(conversation, joined, [this.keyPackages.noteUse(own, epochAuthenticator)]);
      } catch (error) {
        // An MLS library refuses a Welcome again on every try, because its tree never changes. The tree of the group does change. And
        // what began once by a Welcome has gone on since.
        const reason: RejoinReason = { kind: 'welcome-refused', cause: error };
        group = await this.#joinExternally(conversation, reason).catch((cause: unknown) => {
          throw new AggregateError([error, cause], `cannot join ${conversation}`);
        });
      }
      await this.keyPackages.spend(own);
    } else {
      group = await this.#joinExternally(conversation, { kind: 'key-package-unknown' });
    }
    // Not before the group is durable: the service deletes an acknowledged Welcome.
    await api.ackWelcome(pending.id);
    if (updateOnJoin) {
      await group.receive();
      if (!group.isRemoved) await group.update();
    }
    return group;
  }

  async #restore(): Promise<void> {
    for (const id of await storedGroups(this.#parts.store)) {
      const record = await this.#storeOf(id).load();
      if (record !== undefined) this.groups.set(id, await this.#open(id, record));
    }
  }

  /** @param also what the write that saves the group changes too */
  async #addGroup(id: string, { state, seq, chain }: Joined, also: readonly StoreChange[] = []): Promise<MlsGroup> {
    const links = new Map(chain === undefined ? [] : [[seq, chain]]);
    const old = this.groups.get(id);
    await this.#remember([...this.#parts.mls.view(state).leaves.values()]);
    const add = async (outbox: readonly QueuedMessage[]): Promise<MlsGroup> => {
      const record: GroupRecord = {
        ...{ state, position: seq, outbox, hasLeft: false, suspected: new Set<string>() },
        ...{ pendingCommits: new Map(), sent: new Map(), ownProposals: new Map() },
        chain: { links, epochSeq: seq, lost: [] },
        journal: { commits: [], proposals: new Map() },
        restart: restartAfterJoin(old, seq),
      };
      const group = await this.#open(id, record, this.#storeOf(id, also));
      await group.save();
      this.groups.set(id, group);
      return group;
    };
    return old === undefined ? add([]) : old.replaceBy(add);
  }

  async #open(id: string, record: GroupRecord, store = this.#storeOf(id)): Promise<MlsGroup> {
    const { api, user, publicCommits = false } = this.#options;
    const { mls, identity: owner } = this.#parts;
    const remember = (leaves: readonly Leaf[]): Promise<void> => this.#remember(leaves);
    const rejoin: RepairOptions['rejoin'] = (join) => joinExternally({ ...this.#joinContext(), ...join }, id);
    const history = await store.messages();
    const onMessage = (message: ReceivedMessage): void => {
      for (const listener of this.#listeners) listener(group, message);
    };
    const onSignal = (signal: ReceivedSignal): void => {
      for (const listener of this.#signalListeners) listener(group, signal);
    };
    const onRejoin = (reason: RejoinReason): void => this.#options.onRejoin?.(group, reason);
    const invite = async (users: readonly string[]): Promise<void> => {
      await this.invite(id, ...users);
    };
    const replace = (replacement: Replacement): Promise<void> => this.#replace(id, replacement);
    // In the background: what fails is made up for at the next start (`topUp`).
    const onRestart = (): void => {
      this.#renew().catch(() => undefined);
    };
    const onJoinRequest = (request: JoinRequest): void => this.#options.onJoinRequest?.(group, request);
    const onLogEvent = (event: LogEvent): void => this.#options.onLogEvent?.(group, event);
    const onOutgoing = (message: OutboxMessage): void => this.#options.onOutgoing?.(group, message);
    const onDeleted = (message: ReceivedMessage): void => this.#options.onDeleted?.(group, message);
    const group = new MlsGroup({
      ...{ api, mls, owner, store, id, user, record, history, publicCommits },
      ...{ rejoin, onMessage, onSignal, onRejoin, onJoinRequest, onLogEvent, deletionSecrets: this.#deletionSecrets },
      ...{ invite, replace, remember, onRestart, onOutgoing, onDeleted },
    });
    return group;
  }

  /** The leaves of a group that this device has joined, or of a commit that it has followed: their signatures are verified. */
  async #remember(leaves: readonly Leaf[]): Promise<void> {
    const holders = leaves.flatMap(({ user, device }) =>
      user === undefined ? [] : [{ user, signatureKey: fromBase64(device) }],
    );
    await this.#parts.authentication.remember?.(holders);
  }

  #joinContext(): Omit<JoinContext, 'beforeCommit' | 'api'> & { readonly api: DeviceApi } {
    const { mls, identity } = this.#parts;
    return { api: this.#options.api, mls, identity };
  }

  #inviteContext(): ClaimContext {
    const { authentication, mls } = this.#parts;
    return { api: this.#options.api, authentication, mls };
  }
}

/** Id for a new group and its conversation. */
export function newGroupId(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(GROUP_ID_BYTES)));
}

/** A device that is added again after lost commits goes on with what it had to do. */
function restartAfterJoin(before: MlsGroup | undefined, seq: number): RestartRecord | undefined {
  if (before === undefined) return undefined;
  const hasLost = before.history.some(({ lost }) => lost !== undefined);
  if (before.restart === undefined && !hasLost) return undefined;
  return { ...(before.restart ?? NO_CHANGES), agreed: seq - 1, isDead: false };
}
