import type { CiphersuiteImpl, ClientConfig } from 'ts-mls';
import { createGroup } from 'ts-mls';
import { Acks } from '../api/acknowledgements.ts';
import type { AuthenticationService } from './authentication.ts';
import { clientConfig, trustOnFirstUse } from './authentication.ts';
import { toBase64Url } from '../platform/bytes.ts';
import { groupInfoOf } from '../group/changes.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { GroupApi } from '../group/group.ts';
import { MlsGroup } from '../group/group.ts';
import { findCommit } from '../group/group-log.ts';
import type { GroupRecord, ReceivedMessage } from '../storage/group-store.ts';
import { GroupStore, storedGroups, storedJoinings } from '../storage/group-store.ts';
import type { RepairOptions } from '../group/group-repair.ts';
import type { DeviceIdentity } from './identity.ts';
import { loadIdentity } from './identity.ts';
import type { Invitation, InviteContext } from './invite.ts';
import { invite } from './invite.ts';
import type { JoinContext, Joined } from '../group/joining.ts';
import { joinByWelcome, joinExternally } from '../group/joining.ts';
import { KeyPackagePool } from './key-packages.ts';
import type { LiveRunOptions, MessageListener } from './live-run.ts';
import { runLive } from './live-run.ts';
import { loadSuite, makeKeyPackage, unwire } from '../mls/tree.ts';
import { createMutex } from '../mutex.ts';
import { hasCode, ProblemError } from '../api/problem.ts';
import type { DeviceStore } from '../storage/device-store.ts';
import { memoryStore } from '../storage/device-store.ts';
import type { PendingWelcome, Policy } from '../api/types.ts';

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
    | 'ack'
    | 'reset'
    | 'followAll'
  >;

export interface DeviceOptions {
  readonly api: DeviceApi;
  /** The user id that the service knows from the token. */
  readonly user: string;
  /** The token's claim `device`. */
  readonly device: string;
  /** @default in memory */
  readonly store?: DeviceStore;
  /** @default trust on first use */
  readonly authentication?: AuthenticationService;
  /** Commits as PublicMessage, whose content the service can check. @default false */
  readonly publicCommits?: boolean;
  /**
   * Commit fresh keys at once after joining: until then the leaf's key is as old as the KeyPackage, and being an unmerged
   * leaf (RFC 9420 §7.7) makes everybody's commits longer and can keep the next joiner out. @default true
   */
  readonly updateOnJoin?: boolean;
  /** Key packages to have in store at the service. @default 20 */
  readonly keyPackages?: number;
}

interface Parts {
  readonly suite: CiphersuiteImpl;
  readonly identity: DeviceIdentity;
  readonly store: DeviceStore;
  readonly authentication: AuthenticationService;
}

const GROUP_ID_BYTES = 16;
const KEY_PACKAGES = 20;

/**
 * One device of a user: its identity and key packages, and the groups that it is in. All of it is in its store, so that a
 * device that crashed goes on where it was.
 */
export class MlsDevice {
  readonly user: string;
  readonly device: string;
  /** By conversation id. */
  readonly groups = new Map<string, MlsGroup>();
  readonly keyPackages: KeyPackagePool;
  readonly #options: DeviceOptions;
  readonly #parts: Parts;
  readonly #config: ClientConfig;
  readonly #acks: Acks;
  readonly #listeners = new Set<MessageListener>();
  /** One at a time comes into a group or gives one up: two joins of one device would throw each other out. */
  readonly #inTurn = createMutex();

  private constructor(options: DeviceOptions, parts: Parts) {
    const { api, user, device, keyPackages: size = KEY_PACKAGES } = options;
    this.user = user;
    this.device = device;
    this.#options = options;
    this.#parts = parts;
    this.#config = clientConfig(parts.authentication);
    this.#acks = new Acks(api);
    this.keyPackages = new KeyPackagePool({ ...parts, api, size });
  }

  /** Opens the device that the store holds, or a new one, and sees that others find key packages of it. */
  static async open(options: DeviceOptions): Promise<MlsDevice> {
    const { store = memoryStore() } = options;
    const suite = await loadSuite();
    const identity = await loadIdentity(store, options, suite);
    const authentication = options.authentication ?? trustOnFirstUse(store);
    const device = new MlsDevice(options, { suite, identity, store, authentication });
    await device.#restore();
    await device.keyPackages.topUp();
    return device;
  }

  get signatureKey(): Uint8Array {
    return this.#parts.identity.signatureKeyPair.publicKey;
  }

  /** The group of a conversation. @throws Error if the device is not in it */
  group(conversation: string): MlsGroup {
    const group = this.groups.get(conversation);
    if (group === undefined) throw new Error(`not in ${conversation}`);
    return group;
  }

  /** Starts a group and its conversation, whose id is the group's (RFC 9420 §11). */
  async createGroup(policy?: Partial<Policy>): Promise<MlsGroup> {
    const groupId = crypto.getRandomValues(new Uint8Array(GROUP_ID_BYTES));
    const { state, groupInfo } = await this.#newState(groupId);
    const id = toBase64Url(groupId);
    // The state first: nobody could go on with a conversation whose only state is lost.
    const group = await this.#keep(id, { state, seq: 0 });
    try {
      await this.#options.api.createConversation({ id, groupInfo, ...(policy === undefined ? {} : { policy }) });
    } catch (error) {
      if (error instanceof ProblemError) await this.forget(id);
      throw error;
    }
    return group;
  }

  /** Adds all devices of users; of oneself, one's other ones. */
  invite(conversation: string, ...users: string[]): Promise<Invitation> {
    return invite(this.#inviteContext(), this.group(conversation), users);
  }

  /** Joins every group that a Welcome waits for; gives those it joined. @throws AggregateError of what went wrong */
  async joinGroups(): Promise<MlsGroup[]> {
    const joined: MlsGroup[] = [];
    const errors: unknown[] = [];
    for (const pending of await this.#options.api.welcomes()) {
      try {
        const group = await this.#inTurn(() => this.#take(pending));
        if (group !== undefined) joined.push(group);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'some groups could not be joined');
    return joined;
  }

  /** Joins by external commit: as a further device, after the loss of the group's state, or where the policy is open. */
  joinExternally(conversation: string): Promise<MlsGroup> {
    return this.#inTurn(() => this.#joinExternally(conversation));
  }

  /** Joins what there is to join, reads every group to its end, and says so. */
  async sync(): Promise<void> {
    await this.joinGroups();
    for (const group of this.groups.values()) if (!group.isRemoved) await group.receive();
    await this.ack();
  }

  /** Tells the service how far this device has come in each group. */
  async ack(): Promise<void> {
    for (const group of this.groups.values()) this.noteProgress(group);
    await this.#acks.flush();
  }

  /** The same, some time soon. */
  noteProgress(group: MlsGroup): void {
    // Positions of a conversation that one is out of serve nobody.
    if (!group.isRemoved) this.#acks.note(group.id, group.position);
  }

  /** Tells each new message of every group, however it was read; the answer ends that. */
  onMessage(listener: MessageListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Follows all groups live until the signal aborts, or a newer run of the same device takes over. */
  run(options: LiveRunOptions = {}): Promise<void> {
    return runLive(this, this.#options.api, options);
  }

  /** Forgets a group's secrets, as when they are lost; its messages stay. */
  forget(conversation: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.groups.get(conversation)?.abandon();
      this.groups.delete(conversation);
      await new GroupStore(this.#parts.store, conversation).forget();
    });
  }

  /**
   * Has the conversation go on as a new one, with the members it has: the way out when nobody can follow it any more.
   * The others join by the Welcome that they get.
   */
  async reset(conversation: string): Promise<MlsGroup> {
    const { api } = this.#options;
    const groupId = crypto.getRandomValues(new Uint8Array(GROUP_ID_BYTES));
    const successor = toBase64Url(groupId);
    const { state, groupInfo } = await this.#newState(groupId);
    await api.reset(conversation, successor);
    const old = this.groups.get(conversation);
    if (old !== undefined) old.successor = successor;
    const group = await this.#keep(successor, { state, seq: 0 });
    await api.supplyGroupInfo(successor, groupInfo);
    const users = new Set<string>();
    for (let cursor: string | undefined; ;) {
      const page = await api.members(successor, cursor === undefined ? {} : { cursor });
      for (const { user } of page.members) users.add(user);
      if ((cursor = page.next) === undefined) break;
    }
    await this.invite(successor, ...users);
    return group;
  }

  async #newState(groupId: Uint8Array): Promise<{ state: Joined['state']; groupInfo: string }> {
    const { suite, identity } = this.#parts;
    const { publicPackage, privatePackage } = await makeKeyPackage(identity, suite);
    const state = await createGroup(groupId, publicPackage, privatePackage, [], suite, this.#config);
    return { state, groupInfo: await groupInfoOf(state, suite) };
  }

  async #joinExternally(conversation: string): Promise<MlsGroup> {
    const known = this.groups.get(conversation);
    if (known?.isRemoved === false) {
      // A Welcome came first.
      await known.resync();
      return known;
    }
    const store = new GroupStore(this.#parts.store, conversation);
    const beforeCommit: JoinContext['beforeCommit'] = (commit, state) => store.saveJoining(commit, state);
    const joined = await joinExternally({ ...this.#joinContext(), beforeCommit }, conversation);
    const group = await this.#keep(conversation, joined);
    await store.joined();
    return group;
  }

  /** Comes into a group whose external commit was accepted, but whose answer the device did not live to see. */
  async #resumeJoining(id: string): Promise<void> {
    const store = new GroupStore(this.#parts.store, id);
    const joining = await store.loadJoining(this.#config);
    if (joining !== undefined && !this.groups.has(id)) {
      const found = await this.#findJoining(id, joining);
      if (found !== undefined) await this.#keep(id, found);
    }
    await store.joined();
  }

  /** The join as the log has it; `undefined` = it lost, or one may not see. */
  async #findJoining(
    id: string,
    { commit, state }: { commit: string; state: Joined['state'] },
  ): Promise<Joined | undefined> {
    try {
      return await findCommit(this.#options.api, id, 0, new Map([[commit, state]]));
    } catch (error) {
      if (!hasCode(error, 'not-found', 'removed', 'history-truncated')) throw error;
      return undefined;
    }
  }

  /** Joins by one Welcome, or by external commit if that cannot be used any more. */
  async #take(pending: PendingWelcome): Promise<MlsGroup | undefined> {
    const { api, updateOnJoin = true } = this.#options;
    const { conversation } = pending;
    const known = this.groups.get(conversation);
    // It was removed and came back while this device was away: what it may read of the earlier stay it reads now.
    if (known !== undefined && known.position < pending.seq) await known.receive().catch(() => undefined);
    if (known !== undefined && !known.isRemoved && known.position >= pending.seq) {
      await api.ackWelcome(pending.id);
      return undefined;
    }
    const message = unwire(pending.welcome);
    const own = message.wireformat === 'mls_welcome' ? await this.keyPackages.findFor(message.welcome) : undefined;
    let group: MlsGroup | undefined;
    if (own !== undefined) {
      try {
        group = await this.#keep(conversation, await joinByWelcome(this.#joinContext(), pending, own));
      } catch (error) {
        // The tree of a Welcome never changes; the group's does.
        group = await this.#joinExternally(conversation).catch((cause: unknown) => {
          throw new AggregateError([error, cause], `cannot join ${conversation}`);
        });
      }
      await this.keyPackages.spend(own);
    } else {
      group = await this.#joinExternally(conversation);
    }
    // Only now that the group is durable: the service forgets an acknowledged Welcome.
    await api.ackWelcome(pending.id);
    if (updateOnJoin) {
      await group.receive();
      if (!group.isRemoved) await group.update();
    }
    return group;
  }

  async #restore(): Promise<void> {
    for (const id of await storedGroups(this.#parts.store)) {
      const record = await new GroupStore(this.#parts.store, id).load(this.#config);
      if (record !== undefined) this.groups.set(id, await this.#open(id, record));
    }
    for (const id of await storedJoinings(this.#parts.store)) await this.#resumeJoining(id);
  }

  async #keep(id: string, { state, seq }: Joined): Promise<MlsGroup> {
    const record = {
      state,
      position: seq,
      pending: new Map(),
      sent: new Map(),
      proposals: new Map(),
      wasCutOff: false,
    };
    await this.groups.get(id)?.abandon();
    const group = await this.#open(id, record);
    await group.save();
    this.groups.set(id, group);
    return group;
  }

  async #open(id: string, record: GroupRecord): Promise<MlsGroup> {
    const { api, user, publicCommits = false } = this.#options;
    const { suite, store: deviceStore } = this.#parts;
    const store = new GroupStore(deviceStore, id);
    const rejoin: RepairOptions['rejoin'] = (beforeCommit) =>
      joinExternally({ ...this.#joinContext(), beforeCommit }, id);
    const history = await store.messages();
    const onMessage = (message: ReceivedMessage): void => {
      for (const listener of this.#listeners) listener(group, message);
    };
    const group = new MlsGroup({ api, suite, store, id, user, record, history, publicCommits, rejoin, onMessage });
    return group;
  }

  #joinContext(): Omit<JoinContext, 'beforeCommit'> {
    const { suite, identity } = this.#parts;
    return { api: this.#options.api, suite, identity, config: this.#config };
  }

  #inviteContext(): InviteContext {
    return { api: this.#options.api, authentication: this.#parts.authentication };
  }
}
