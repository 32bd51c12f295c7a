import { memoryStore, MlsDevice, type MlsGroup, type NewPolicy } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import type { Service } from '../harness/service.ts';
import type { CreateOptions, InteropDevice, View } from './device.ts';
import { NotOfferedError } from './device.ts';

/** A device with the client library of this project, on ts-mls. */
export class OwnDevice implements InteropDevice {
  readonly library = 'ts-mls';
  readonly name: string;
  readonly user: string;
  readonly device: string;
  readonly #service: Service;
  readonly #cipherSuite: number;
  #opened: MlsDevice | undefined;
  #id: string | undefined;

  constructor(
    service: Service,
    options: { readonly user: string; readonly device: string; readonly cipherSuite: number },
  ) {
    const { user, device, cipherSuite } = options;
    this.user = user;
    this.device = device;
    this.name = `${user}/${device} (ts-mls)`;
    this.#service = service;
    this.#cipherSuite = cipherSuite;
  }

  get texts(): readonly string[] {
    return this.#found?.history.map(({ text }) => text) ?? [];
  }

  get isIn(): boolean {
    return this.#found?.isRemoved === false;
  }

  open(): Promise<void> {
    return this.#open({});
  }

  async create(policy: NewPolicy, { externalSender = false }: CreateOptions = {}): Promise<string> {
    if (externalSender) await this.#open({ externalSender });
    const { id } = await this.#mls.createGroup(policy);
    this.#id = id;
    return id;
  }

  async sync(): Promise<void> {
    for (const group of await this.#mls.joinGroups()) this.#id = group.id;
    if (this.isIn) await this.#group.receive();
  }

  async send(text: string): Promise<void> {
    await this.#group.receive();
    await this.#group.send(text);
  }

  async add(...users: string[]): Promise<void> {
    await this.#mls.invite(this.#group.id, ...users);
  }

  remove(user: string): Promise<void> {
    return this.#group.remove(user);
  }

  update(): Promise<void> {
    return this.#group.update();
  }

  async commitPending(): Promise<void> {
    await this.#group.receive();
    await this.#group.commitPending();
    const [request] = this.#group.joinRequests;
    if (request !== undefined) await this.#group.admit(request);
  }

  proposeAdd(): Promise<void> {
    return Promise.reject(new NotOfferedError('the client library proposes no Adds'));
  }

  proposeRemove(user: string): Promise<void> {
    return this.#group.proposeRemove(user);
  }

  proposeUpdate(): Promise<void> {
    return Promise.reject(new NotOfferedError('ts-mls proposes no Updates'));
  }

  leave(): Promise<void> {
    return this.#group.leave();
  }

  async joinExternally(id: string): Promise<void> {
    this.#id = id;
    if (this.isIn) await this.#group.resync();
    else await this.#mls.joinExternally(id);
  }

  async askToJoin(id: string): Promise<void> {
    this.#id = id;
    await this.#mls.askToJoin(id);
  }

  view(): Promise<View> {
    const { position, epoch, epochAuthenticator: authenticator, members, pendingProposals: pending } = this.#group;
    return Promise.resolve({ position, epoch, authenticator, users: [...members].sort(), pending });
  }

  /** Loses everything: the next `open` makes a new device with the same name. */
  lose(): void {
    this.#opened = undefined;
    this.#id = undefined;
  }

  async #open({ externalSender = false }: CreateOptions): Promise<void> {
    const { user, device } = this;
    const [api, cipherSuite] = [this.#service.clientOf(user, { device }), this.#cipherSuite];
    // The keys of other programs are known to nobody before: all are trusted, as an app with a directory would decide.
    const authentication = { verify: () => Promise.resolve(true) };
    const options = { cipherSuite, keyPackages: 3, store: memoryStore(), authentication, externalSender };
    this.#opened = await MlsDevice.open({ mls: tsMls, api, user, device, ...options });
  }

  get #mls(): MlsDevice {
    if (this.#opened === undefined) throw new Error(`${this.name} is not open`);
    return this.#opened;
  }

  get #found(): MlsGroup | undefined {
    return this.#id === undefined ? undefined : this.#opened?.groups.get(this.#id);
  }

  get #group(): MlsGroup {
    if (this.#found === undefined) throw new Error(`${this.name} is in no group`);
    return this.#found;
  }
}
