import { createProposal } from 'ts-mls';
import { clientConfig } from '../../client/device/authentication.ts';
import { newId, toBase64 } from '../../client/bytes.ts';
import { ParleyClient } from '../../client/api/parley-client.ts';
import { MlsDevice } from '../../client/device/device.ts';
import type { MlsGroup } from '../../client/group/group.ts';
import type { ReceivedMessage } from '../../client/group/group-store.ts';
import { GroupStore } from '../../client/group/group-store.ts';
import type { Http } from '../../client/api/http.ts';
import { createHttp } from '../../client/api/http.ts';
import { loadSuite, unwire, wire } from '../../client/mls.ts';
import { createMutex } from '../../client/mutex.ts';
import { memoryStore } from '../../client/device/store.ts';
import type {
  CommitAccepted,
  CommitBundle,
  OutgoingMessage,
  PendingWelcome,
  SendResult,
} from '../../client/api/types.ts';
import { craftUpdateProposal } from '../harness/crafted-mls.ts';
import type { Service } from '../harness/service.ts';

/** The process of a device died: nothing it still tries to do reaches the service. */
export class CrashedError extends Error {
  override readonly name = 'CrashedError';
}

/** What an actor tells the run. */
export interface ActorEvents {
  readonly onSending: (messageId: string, sender: string, text: string) => void;
  readonly onError: (name: string, what: string, error: unknown) => void;
}

/** A client that knows which text goes with which message id. */
class ModelClient extends ParleyClient {
  /** Of the message that is being sent. */
  text: string | undefined;
  readonly #onSending: (messageId: string, text: string) => void;
  readonly #rejoins: number[];
  readonly #welcomed: number[];
  /** `seq` of Welcomes by their ids. */
  readonly #offered = new Map<string, number>();

  constructor(http: Http, onSending: (messageId: string, text: string) => void, rejoins: number[], welcomed: number[]) {
    super(http);
    this.#onSending = onSending;
    this.#rejoins = rejoins;
    this.#welcomed = welcomed;
  }

  override async welcomes(): Promise<PendingWelcome[]> {
    const welcomes = await super.welcomes();
    for (const { id, seq } of welcomes) this.#offered.set(id, seq);
    return welcomes;
  }

  override async ackWelcome(id: string): Promise<void> {
    await super.ackWelcome(id);
    this.#welcomed.push(this.#offered.get(id) ?? 0);
  }

  override async commit(id: string, bundle: CommitBundle): Promise<CommitAccepted> {
    const accepted = await super.commit(id, bundle);
    const { wireformat, ...message } = unwire(bundle.commit);
    const isExternal =
      wireformat === 'mls_public_message' &&
      'publicMessage' in message &&
      message.publicMessage.content.sender.senderType === 'new_member_commit';
    if (isExternal) this.#rejoins.push(accepted.seq);
    return accepted;
  }

  override send(id: string, message: OutgoingMessage): Promise<SendResult> {
    if (this.text !== undefined) this.#onSending(message.id, this.text);
    return super.send(id, message);
  }
}

/** One process of a device. */
interface Running {
  readonly device: MlsDevice;
  readonly client: ModelClient;
  readonly store: ReturnType<typeof memoryStore>;
  readonly die: () => void;
  /** Fails once the process is dead. */
  readonly death: Promise<never>;
  /** One message at a time, so that it is known which text goes with which id. */
  readonly inTurn: ReturnType<typeof createMutex>;
}

/** One device of the model over all its processes, with what is known of the states that it lost. */
export class Actor {
  /** `user/device` */
  readonly name: string;
  /** Positions at which it lost its state: what it had not read by then it may never read. */
  readonly losses: number[] = [];
  /** Epochs in which it proposed an Update, whose keys it does not keep. */
  readonly updatesProposed = new Set<number>();
  /** Entries that it could not follow. */
  readonly stuckAt: { readonly seq: number; readonly epoch: number; readonly why: string }[] = [];
  /** `seq` of its external commits, whoever asked for them. */
  readonly rejoins: number[] = [];
  /** `seq` of the Welcomes that it has taken up. */
  readonly welcomed: number[] = [];
  /** What was wrong with the order of its streams. */
  readonly streamFaults: string[] = [];
  signatureKey = '';
  readonly #service: Service;
  readonly #user: string;
  readonly #device: string;
  readonly #place: number;
  readonly #events: ActorEvents;
  readonly #oneCrash = createMutex();
  #running: Running | undefined;
  #live: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(service: Service, user: string, device: string, place: number, events: ActorEvents) {
    this.name = `${user}/${device}`;
    this.#service = service;
    this.#user = user;
    this.#device = device;
    this.#place = place;
    this.#events = events;
  }

  get user(): string {
    return this.#user;
  }

  get device(): MlsDevice {
    return this.#current().device;
  }

  get client(): ParleyClient {
    return this.#current().client;
  }

  get isConnected(): boolean {
    return this.#live !== undefined;
  }

  group(id: string): MlsGroup | undefined {
    return this.#running?.device.groups.get(id);
  }

  isIn(id: string): boolean {
    return this.group(id)?.isRemoved === false;
  }

  /** What its store holds now, for another process to start with. */
  snapshot(): [string, string][] {
    return this.#current().store.entries();
  }

  /** What it has of a group, also of one whose state is gone. */
  history(id: string): Promise<ReceivedMessage[]> {
    return new GroupStore(this.#current().store, id).messages();
  }

  /** Starts a process of the device, with what the last one left. */
  async open(
    entries: Iterable<readonly [string, string]> = [],
    options: { updateOnJoin?: boolean } = {},
  ): Promise<void> {
    let turn = this.#place;
    let isDead = false;
    const http = createHttp({
      baseUrl: () => {
        if (isDead) throw new CrashedError('crashed');
        const urls = this.#service.urls();
        return urls[turn++ % urls.length] ?? '';
      },
      token: () => this.#service.token(this.#user, { device: this.#device }),
      attempts: 12,
    });
    const client = new ModelClient(
      http,
      (id, text) => this.#events.onSending(id, this.#user, text),
      this.rejoins,
      this.welcomed,
    );
    const store = memoryStore(entries);
    const device = await MlsDevice.open({
      api: client,
      user: this.#user,
      device: this.#device,
      keyPackages: 3,
      store,
      ...options,
    });
    this.signatureKey = toBase64(device.signatureKey);
    let die = (): void => undefined;
    const death = new Promise<never>((_resolve, reject) => {
      die = () => {
        isDead = true;
        reject(new CrashedError('crashed'));
      };
    });
    death.catch(() => undefined);
    this.#running = { device, client, store, die, death, inTurn: createMutex() };
  }

  /** Follows all groups live. */
  connect(): void {
    if (this.#live !== undefined) return;
    const stop = new AbortController();
    const last = new Map<string, number>();
    const ended = this.#current()
      .device.run({
        signal: stop.signal,
        onError: (error) => this.#events.onError(this.name, 'live', error),
        onEvent: (event) => {
          if (event.type !== 'entry') return;
          const { conversation, entry } = event;
          const before = last.get(conversation);
          last.set(conversation, entry.seq);
          // A gap is where the user was not a member, or where the device joined behind it.
          if (before !== undefined && entry.seq <= before) this.streamFaults.push(`${entry.seq} after ${before}`);
        },
      })
      .catch((error: unknown) => this.#events.onError(this.name, 'live run', error));
    this.#live = { stop, ended };
  }

  async disconnect(): Promise<void> {
    const live = this.#live;
    this.#live = undefined;
    live?.stop.abort();
    await live?.ended;
  }

  /** Ends the process wherever it is, and starts another one with what was durable by then; never two at a time. */
  crash(): Promise<void> {
    return this.#oneCrash(() => this.#crash());
  }

  async #crash(): Promise<void> {
    const { die, store } = this.#current();
    const left = store.entries();
    die();
    this.noteStuck();
    const wasConnected = this.isConnected;
    void this.disconnect();
    await this.open(left);
    if (wasConnected) this.connect();
  }

  /** Keeps what a process found it could not follow, before it is gone. */
  noteStuck(): void {
    for (const group of this.#running?.device.groups.values() ?? []) {
      for (const { entry, message } of group.stuckAt) {
        if (this.stuckAt.some(({ seq }) => seq === entry.seq)) continue;
        this.stuckAt.push({ seq: entry.seq, epoch: entry.epoch, why: message });
      }
    }
  }

  send(id: string, text: string): Promise<SendResult> {
    const { client, device, inTurn } = this.#current();
    return inTurn(async () => {
      client.text = text;
      try {
        return await device.group(id).send(text);
      } finally {
        client.text = undefined;
      }
    });
  }

  /** Waits for something that the current process does; fails when that process dies first. */
  untilDeath<T>(task: Promise<T>): Promise<T> {
    return Promise.race([task, this.#current().death]);
  }

  /** Loses the group's state and joins again by external commit. */
  async lose(id: string): Promise<void> {
    const { device } = this.#current();
    this.noteStuck();
    this.losses.push(device.group(id).position);
    await device.forget(id);
    await device.joinExternally(id);
  }

  /** Joins by external commit, whether or not a Welcome waits: what that would have let it read it may never read. */
  async joinExternally(id: string): Promise<void> {
    const { device } = this.#current();
    // Before: its process may die between the acceptance and the answer.
    this.losses.push(device.groups.get(id)?.position ?? 0);
    await device.joinExternally(id);
  }

  /** Gives its state up and joins again: of what it had not read it still reads what the old state has keys for. */
  async resync(id: string): Promise<void> {
    const group = this.#current().device.group(id);
    this.losses.push(group.position);
    await group.resync();
  }

  /** Proposes an Update whose keys it then does not have: it will have to join again once somebody commits it. */
  async proposeUpdate(id: string): Promise<void> {
    const { device, store, client } = this.#current();
    await device.group(id).save();
    const record = await new GroupStore(store, id).load(clientConfig({ verify: () => Promise.resolve(true) }));
    if (record === undefined) return;
    const suite = await loadSuite();
    const proposal = await craftUpdateProposal(record.state, suite);
    // Public, because the keys for private ones are the device's own to count.
    const { message } = await createProposal({ ...record.state, unappliedProposals: {} }, true, proposal, suite);
    this.updatesProposed.add(Number(record.state.groupContext.epoch));
    await client.send(id, { id: newId(), ciphertext: wire(message) });
  }

  /** The end: nothing of it goes on. */
  async close(): Promise<void> {
    await this.disconnect();
    this.#running?.die();
  }

  #current(): Running {
    if (this.#running === undefined) throw new Error(`${this.name} does not run`);
    return this.#running;
  }
}
