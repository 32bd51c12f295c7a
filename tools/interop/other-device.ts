import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Entry,
  epochConflict,
  hasCode,
  newId,
  type NewPolicy,
  type ParleyClient,
  toBase64Url,
} from '../../client/index.ts';
import type { Service } from '../harness/service.ts';
import type { CreateOptions, InteropDevice, View } from './device.ts';
import { membershipChange } from './membership.ts';
import type { Library, Program, ProgramAnswer } from './program.ts';
import { LibraryError } from './program.ts';

const KEY_PACKAGES = 3;
const MAX_ATTEMPTS = 30;
const BACKOFF_MS = 30;
const PAGE = 1000;
const GROUP_ID_BYTES = 16;

export interface OtherOptions {
  readonly user: string;
  readonly device: string;
  readonly cipherSuite: number;
  readonly library: Library;
  /** Sends commits and proposals as PublicMessage. @default false */
  readonly isPublic?: boolean;
  /** Commits new keys after a join by Welcome. Groups with members on ts-mls need it. @default true */
  readonly updateOnJoin?: boolean;
}

interface Change {
  readonly add?: readonly string[];
  readonly remove?: readonly number[];
}

type State = Exclude<ProgramAnswer['state'], undefined>;

/** A device with OpenMLS or mls-rs, as an app without the client library of this project would write it. */
export class OtherDevice implements InteropDevice {
  readonly library: Library;
  readonly name: string;
  readonly user: string;
  readonly device: string;
  readonly texts: string[] = [];
  /** Messages of its time in the group that the device could not read, and why. */
  readonly unreadable: string[] = [];
  isIn = false;
  readonly #options: OtherOptions;
  readonly #program: Program;
  readonly #api: ParleyClient;
  readonly #member = newId();
  readonly #sent = new Map<string, string>();
  readonly #ownProposals = new Set<string>();
  #id = '';
  #position = 0;
  #firstEpoch = 0;
  #pendingCommit: string | undefined;

  constructor(service: Service, program: Program, options: OtherOptions) {
    const { user, device, library } = options;
    this.#options = options;
    this.#program = program;
    this.user = user;
    this.device = device;
    this.library = library;
    this.name = `${user}/${device} (${library})`;
    this.#api = service.clientOf(user, { device });
  }

  async open(): Promise<void> {
    const { user, library, cipherSuite, isPublic = false } = this.#options;
    await this.#ask('new', { library, user, cipherSuite, public: isPublic, grease: true });
    const keyPackages: string[] = [];
    while (keyPackages.length < KEY_PACKAGES) keyPackages.push(bytesOf(await this.#ask('key-package')));
    const lastResort = bytesOf(await this.#ask('key-package', { lastResort: true }));
    await this.#api.replaceKeyPackages({ keyPackages, lastResort });
  }

  async create(policy: NewPolicy, { externalSender = false }: CreateOptions = {}): Promise<string> {
    const groupId = randomBytes(GROUP_ID_BYTES);
    const externalSenders = externalSender ? await this.#api.externalSender(this.#options.cipherSuite) : undefined;
    const extension = externalSenders === undefined ? {} : { externalSenders: vectorOf(externalSenders) };
    const groupInfo = bytesOf(await this.#ask('create', { group: groupId.toString('base64'), ...extension }));
    const id = toBase64Url(groupId);
    await this.#api.createConversation({ id, groupInfo, policy });
    this.#enter(id, 0, 0);
    return id;
  }

  async sync(): Promise<void> {
    const joined = await this.#joinByWelcome();
    if (this.isIn) await this.#read();
    if (joined && this.isIn && this.#options.updateOnJoin !== false) await this.update();
  }

  async send(text: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.sync();
      if ((await this.#state()).pending > 0) await this.#commit(() => Promise.resolve({}));
      const ciphertext = bytesOf(await this.#ask('send', { text }));
      const id = newId();
      this.#sent.set(id, text);
      try {
        await this.#api.send(this.#id, { id, ciphertext });
        return;
      } catch (error) {
        this.#sent.delete(id);
        if (!hasCode(error, 'epoch-too-old') || attempt >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  async add(...users: string[]): Promise<void> {
    const claims = await Promise.all(
      users.map((user) =>
        this.#api.claimKeyPackages(user, { conversation: this.#id, cipherSuite: this.#options.cipherSuite }),
      ),
    );
    const packages = claims.flatMap(({ keyPackages }) => keyPackages.map(({ keyPackage }) => keyPackage));
    await this.#commit(async () => {
      const { leaves } = await this.#state();
      const missing = packages.filter((one) => leaves.every(({ signatureKey }) => !holds(one, signatureKey)));
      return missing.length === 0 ? undefined : { add: missing };
    });
  }

  async remove(user: string): Promise<void> {
    await this.commitPending();
    await this.#commit(async () => {
      const { leaves } = await this.#state();
      const remove = leaves.filter((leaf) => leaf.user === user).map(({ index }) => index);
      return remove.length === 0 ? undefined : { remove };
    });
  }

  update(): Promise<void> {
    return this.#commit(() => Promise.resolve({}));
  }

  async commitPending(): Promise<void> {
    await this.#commit(async () => ((await this.#state()).pending > 0 ? {} : undefined));
  }

  async proposeAdd(user: string): Promise<void> {
    const { keyPackages } = await this.#api.claimKeyPackages(user, {
      ...{ conversation: this.#id, cipherSuite: this.#options.cipherSuite },
    });
    for (const { keyPackage } of keyPackages) {
      const { leaves } = await this.#state();
      if (leaves.some(({ signatureKey }) => holds(keyPackage, signatureKey))) continue;
      await this.#propose({ kind: 'add', keyPackage });
    }
  }

  async proposeRemove(user: string): Promise<void> {
    await this.sync();
    const { leaves } = await this.#state();
    for (const { index } of leaves.filter((leaf) => leaf.user === user)) {
      await this.#propose({ kind: 'remove', leaf: index });
    }
  }

  proposeUpdate(): Promise<void> {
    return this.#propose({ kind: 'update' });
  }

  async leave(kind: 'remove' | 'self-remove' = 'remove'): Promise<void> {
    await this.#proposeBy({ kind: kind === 'remove' ? 'leave' : kind }, async (proposal) => {
      await this.#api.leave(this.#id, this.user, { proposal });
    });
    this.isIn = false;
  }

  async joinExternally(id: string, selfRemoves: readonly string[] = []): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { groupInfo, epoch } = await this.#api.groupInfo(id);
      const made = await this.#ask('join-externally', { groupInfo, selfRemoves });
      try {
        const bundle = { commit: made.commit ?? '', groupInfo: made.groupInfo ?? '' };
        const { seq } = await this.#api.commit(id, bundle);
        this.#enter(id, seq, epoch + 1);
        return;
      } catch (error) {
        const isLost = hasCode(error, 'epoch-conflict', 'group-info-missing', 'group-info-stale');
        if (!isLost || attempt >= MAX_ATTEMPTS) throw error;
        await sleep(Math.random() * BACKOFF_MS * attempt);
      }
    }
  }

  async askToJoin(id: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const group = Buffer.from(id, 'base64url').toString('base64');
      const epoch = await this.#api.epoch(id);
      const ciphertext = bytesOf(await this.#ask('ask-to-join', { group, epoch }));
      try {
        await this.#api.send(id, { id: newId(), ciphertext });
        return;
      } catch (error) {
        if (!hasCode(error, 'proposal-stale') || attempt >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  async view(): Promise<View> {
    const { epoch, authenticator, leaves, pending } = await this.#state();
    return { position: this.#position, epoch, authenticator, users: leaves.map(({ user }) => user).sort(), pending };
  }

  /** Ends the membership here, as a device that lost everything would. */
  lose(): void {
    this.isIn = false;
  }

  async #joinByWelcome(): Promise<boolean> {
    let hasJoined = false;
    for (const { id, conversation, welcome, seq, epoch } of await this.#api.welcomes()) {
      if (!this.isIn || seq > this.#position) {
        await this.#ask('join', { welcome });
        this.#enter(conversation, seq, epoch);
        hasJoined = true;
      }
      await this.#api.ackWelcome(id);
    }
    return hasJoined;
  }

  #enter(id: string, seq: number, epoch: number): void {
    this.#id = id;
    this.#position = seq;
    this.#firstEpoch = epoch;
    this.#pendingCommit = undefined;
    this.#ownProposals.clear();
    this.isIn = true;
  }

  async #read(): Promise<void> {
    try {
      for (let more = true; more;) {
        const page = await this.#api.log(this.#id, { after: this.#position, limit: PAGE });
        for (const entry of page.entries) {
          await this.#process(entry);
          this.#position = entry.seq;
          if (this.#isOut()) return;
        }
        more = page.next !== undefined;
      }
    } catch (error) {
      if (!hasCode(error, 'removed')) throw error;
      this.isIn = false;
    }
  }

  async #process({ seq, kind, id, epoch, ciphertext = '' }: Entry): Promise<void> {
    if (kind === 'application') return this.#readMessage(seq, epoch, id ?? '', ciphertext);
    if (kind === 'proposal') {
      if (this.#ownProposals.has(ciphertext) || epoch < (await this.#state()).epoch) return;
      await this.#ask('process', { message: ciphertext }).catch(onlyLibrary);
      return;
    }
    if (ciphertext === this.#pendingCommit) {
      this.#pendingCommit = undefined;
      await this.#ask('confirm');
      return;
    }
    if (this.#pendingCommit !== undefined) await this.#discard();
    const { kind: read } = await this.#ask('process', { message: ciphertext });
    if (read === 'removed') this.isIn = false;
  }

  async #readMessage(seq: number, epoch: number, id: string, message: string): Promise<void> {
    const own = this.#sent.get(id);
    if (own !== undefined) {
      this.texts.push(own);
      return;
    }
    if (epoch < this.#firstEpoch) return; // sent before this device joined, and late
    try {
      const { text } = await this.#ask('process', { message });
      this.texts.push(text ?? '');
    } catch (error) {
      onlyLibrary(error);
      this.unreadable.push(`${this.name} cannot read ${seq} of epoch ${epoch}: ${String(error)}`);
    }
  }

  /** @param plan the change for the present state; `undefined` = nothing to do */
  async #commit(plan: () => Promise<Change | undefined>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.#read();
      if (this.#isOut()) return;
      const change = await plan();
      if (change === undefined) return;
      const { leaves } = await this.#state();
      const { commit = '', welcome, groupInfo = '' } = await this.#ask('commit', { change });
      this.#pendingCommit = commit;
      const { adds, removes } = membershipChange(leaves, groupInfo);
      try {
        await this.#api.commit(this.#id, {
          ...{ commit, groupInfo },
          ...(welcome === undefined ? {} : { welcome }),
          ...(adds.length === 0 ? {} : { adds: [...adds] }),
          ...(removes.length === 0 ? {} : { removes: [...removes] }),
        });
        await this.#read();
        return;
      } catch (error) {
        await this.#discard();
        if (epochConflict(error) === undefined || attempt >= MAX_ATTEMPTS) throw error;
        await sleep(Math.random() * BACKOFF_MS * attempt);
      }
    }
  }

  async #discard(): Promise<void> {
    if (this.#pendingCommit !== undefined) await this.#ask('discard');
    this.#pendingCommit = undefined;
  }

  #propose(proposal: Readonly<Record<string, unknown>>): Promise<void> {
    return this.#proposeBy(proposal, async (ciphertext) => {
      await this.#api.send(this.#id, { id: newId(), ciphertext });
    });
  }

  async #proposeBy(
    proposal: Readonly<Record<string, unknown>>,
    submit: (ciphertext: string) => Promise<void>,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.#read();
      if (this.#isOut()) return;
      const ciphertext = bytesOf(await this.#ask('propose', { proposal }));
      this.#ownProposals.add(ciphertext);
      try {
        await submit(ciphertext);
        return;
      } catch (error) {
        if (!hasCode(error, 'proposal-stale') || attempt >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** A commit in the log may have removed this device. */
  #isOut(): boolean {
    return !this.isIn;
  }

  async #state(): Promise<State> {
    const { state } = await this.#ask('state');
    if (state === undefined) throw new Error('the program gave no state');
    return state;
  }

  #ask(op: string, rest: Readonly<Record<string, unknown>> = {}): Promise<ProgramAnswer> {
    return this.#program.ask({ op, member: this.#member, ...rest });
  }
}

function bytesOf({ bytes }: ProgramAnswer): string {
  if (bytes === undefined) throw new Error('the program gave no bytes');
  return bytes;
}

/** Whether a KeyPackage has this signature key. */
function holds(keyPackage: string, signatureKey: string): boolean {
  return Buffer.from(keyPackage, 'base64').includes(Buffer.from(signatureKey, 'base64'));
}

/** The content of `external_senders` with one sender: a vector (RFC 9420 §12.1.8.1). */
function vectorOf(sender: string): string {
  const bytes = Buffer.from(sender, 'base64');
  const length = bytes.length < 64 ? [bytes.length] : [0x40 | (bytes.length >> 8), bytes.length & 0xff];
  return Buffer.from([...length, ...bytes]).toString('base64');
}

/** A library may refuse what another member wrote: no member can commit it then. */
function onlyLibrary(error: unknown): void {
  if (!(error instanceof LibraryError)) throw error;
}
