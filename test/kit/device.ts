import type { CiphersuiteImpl, Welcome } from 'ts-mls';
import { createGroup, createGroupInfoWithExternalPubAndRatchetTree, emptyPskIndex, joinGroup } from 'ts-mls';
import { toBase64, toBase64Url } from './bytes.ts';
import type { KeyPackageOffer } from './changes.ts';
import type { ParleyClient } from './client.ts';
import { MlsGroup } from './group.ts';
import type { OwnKeyPackage } from './mls.ts';
import { loadSuite, makeKeyPackage, unwire, wire } from './mls.ts';
import type { PendingWelcome, Policy } from './types.ts';

export interface DeviceOptions {
  readonly api: Pick<ParleyClient, 'createConversation' | 'welcomes' | 'ackWelcome' | 'commit' | 'send' | 'log'>;
  /** The user id that the service knows from the token. */
  readonly user: string;
  /** Commits as PublicMessage, whose content the service can check. @default false */
  readonly publicCommits?: boolean;
  /**
   * Commit fresh keys at once after joining: until then the leaf's key is as old as the KeyPackage, and being an
   * unmerged leaf (RFC 9420 §7.7) makes everybody's commits longer. @default false
   */
  readonly updateOnJoin?: boolean;
}

const GROUP_ID_BYTES = 16;

/** A client's device: makes KeyPackages, starts groups and joins those it has a Welcome for. */
export class MlsDevice {
  readonly user: string;
  /** By conversation id. */
  readonly groups = new Map<string, MlsGroup>();
  readonly #options: DeviceOptions;
  readonly #suite: CiphersuiteImpl;
  readonly #keyPackages = new Map<string, OwnKeyPackage>();

  private constructor(options: DeviceOptions, suite: CiphersuiteImpl) {
    this.user = options.user;
    this.#options = options;
    this.#suite = suite;
  }

  static async create(options: DeviceOptions): Promise<MlsDevice> {
    return new MlsDevice(options, await loadSuite());
  }

  /** A KeyPackage for one joining (RFC 9420 §10); its secrets stay here. */
  async offerKeyPackage(): Promise<KeyPackageOffer> {
    const own = await makeKeyPackage(this.user, this.#suite);
    this.#keyPackages.set(own.ref, own);
    return { user: this.user, keyPackage: wire({ wireformat: 'mls_key_package', keyPackage: own.publicPackage }) };
  }

  /** Starts a group and its conversation, whose id is the group's (RFC 9420 §11). */
  async createGroup(policy?: Partial<Policy>): Promise<MlsGroup> {
    const groupId = crypto.getRandomValues(new Uint8Array(GROUP_ID_BYTES));
    const { publicPackage, privatePackage } = await makeKeyPackage(this.user, this.#suite);
    const state = await createGroup(groupId, publicPackage, privatePackage, [], this.#suite);
    const groupInfo = await createGroupInfoWithExternalPubAndRatchetTree(state, [], this.#suite);
    const id = toBase64Url(groupId);
    const { lastSeq } = await this.#options.api.createConversation({
      id,
      groupInfo: wire({ wireformat: 'mls_group_info', groupInfo }),
      ...(policy === undefined ? {} : { policy }),
    });
    return this.#keep(id, state, lastSeq);
  }

  /** Joins every group that a Welcome waits for; gives those it joined. */
  async joinGroups(): Promise<MlsGroup[]> {
    const joined: MlsGroup[] = [];
    for (const pending of await this.#options.api.welcomes()) {
      const group = await this.#join(pending);
      // An app stores the new state before this: the service forgets an acknowledged Welcome.
      await this.#options.api.ackWelcome(pending.id);
      if (this.#options.updateOnJoin === true) {
        await group.receive();
        await group.update();
      }
      joined.push(group);
    }
    return joined;
  }

  async #join({ conversation, welcome: base64, seq }: PendingWelcome): Promise<MlsGroup> {
    const message = unwire(base64);
    if (message.wireformat !== 'mls_welcome') throw new Error('not a Welcome');
    const own = this.#keyPackageFor(message.welcome);
    const { publicPackage, privatePackage } = own;
    const state = await joinGroup(message.welcome, publicPackage, privatePackage, emptyPskIndex, this.#suite);
    if (toBase64Url(state.groupContext.groupId) !== conversation) throw new Error('a Welcome for another group');
    this.#keyPackages.delete(own.ref); // RFC 9420 §16.8: used once
    return this.#keep(conversation, state, seq);
  }

  /** The KeyPackage that a Welcome was made for (RFC 9420 §12.4.3.1). */
  #keyPackageFor(welcome: Welcome): OwnKeyPackage {
    for (const { newMember } of welcome.secrets) {
      const own = this.#keyPackages.get(toBase64(newMember));
      if (own !== undefined) return own;
    }
    throw new Error('a Welcome for no KeyPackage of this device');
  }

  #keep(id: string, state: MlsGroupState, position: number): MlsGroup {
    const { api, publicCommits = false } = this.#options;
    const group = new MlsGroup({ api, suite: this.#suite, id, state, position, publicCommits });
    this.groups.set(id, group);
    return group;
  }
}

type MlsGroupState = Awaited<ReturnType<typeof createGroup>>;
