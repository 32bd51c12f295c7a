import { Mutex } from 'async-mutex';
import { createProposal } from 'ts-mls';
import type {
  CommitAccepted,
  CommitBundle,
  Http,
  MlsGroup,
  OutgoingMessage,
  PendingWelcome,
  ReceivedMessage,
  RejoinReason,
  Report,
  ReportTaken,
  SendResult,
} from '../../client/index.ts';
import { createHttp, memoryStore, MlsDevice, newId, ParleyClient, toBase64 } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import { clientStateOf, encodeMessage, GroupStore, loadSuite, trustingMls } from '../../client/testing.ts';
import { joinerOf } from './joiner.ts';
import { craftUpdateProposal } from '../harness/crafted-mls.ts';
import type { Service } from '../harness/service.ts';

/** Thrown when the process of a device died. None of its later requests reaches the service. */
export class CrashedError extends Error {
  override readonly name = 'CrashedError';
}

/** Calls from an actor to the run. */
export interface ActorEvents {
  readonly onSending: (messageId: string, sender: string, text: string) => void;
  readonly onError: (name: string, what: string, error: unknown) => void;
  /** A device joined again, with the external commit `seq`. */
  readonly onRejoin: (name: string, seq: number, why: string) => void;
}

/** An entry that a device could not follow. */
export interface StuckEntry {
  readonly seq: number;
  readonly epoch: number;
  readonly why: string;
}

/** What a client sees of the joins of its device. */
interface Joins {
  readonly welcomed: number[];
  readonly stuckAt: StuckEntry[];
}

/** A client that knows the text of each message id. */
class ModelClient extends ParleyClient {
  /** Text of the message that is being sent. */
  text: string | undefined;
  readonly #onSending: (messageId: string, text: string) => void;
  readonly #record: Joins;
  /** `seq` of each Welcome by its id. */
  readonly #offered = new Map<string, number>();
  /** `seq` of the external commits of this process. */
  readonly #external: number[] = [];

  constructor(http: Http, onSending: (messageId: string, text: string) => void, record: Joins) {
    super(http);
    this.#onSending = onSending;
    this.#record = record;
  }

  override async welcomes(): Promise<readonly PendingWelcome[]> {
    const welcomes = await super.welcomes();
    for (const { id, seq } of welcomes) this.#offered.set(id, seq);
    return welcomes;
  }

  override async ackWelcome(id: string): Promise<void> {
    await super.ackWelcome(id);
    const seq = this.#offered.get(id) ?? 0;
    // A device that joined by external commit meanwhile did not use the Welcome.
    if (this.#external.every((commit) => commit < seq)) this.#record.welcomed.push(seq);
  }

  override async commit(id: string, bundle: CommitBundle): Promise<CommitAccepted> {
    const accepted = await super.commit(id, bundle);
    if (joinerOf(bundle.commit) !== undefined) this.#external.push(accepted.seq);
    return accepted;
  }

  /** A device reports each entry that it cannot follow before it joins again, also in a process that dies then. */
  override report(id: string, report: Report): Promise<ReportTaken> {
    const { seq, epoch, reason } = report;
    if (!this.#record.stuckAt.some((stuck) => stuck.seq === seq))
      this.#record.stuckAt.push({ seq, epoch, why: reason });
    return super.report(id, report);
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
  /** Rejects when the process dies. */
  readonly death: Promise<never>;
  /** Lets one message be sent at a time, so that the text of each id is known. */
  readonly sending: Mutex;
}

/** One device of the model over all its processes, with a record of the states that it lost. */
export class Actor {
  /** `user/device` */
  readonly name: string;
  /** Ends of its states that the schedule asked for. */
  readonly losses: { readonly position: number; readonly isGone: boolean }[] = [];
  /** Epochs in which it proposed an Update without keeping its keys. */
  readonly updatesProposed = new Set<number>();
  readonly stuckAt: StuckEntry[] = [];
  /** Why it joined again, one line for each time. A crash can lose the line, but not the commit in the log. */
  readonly rejoinReasons: string[] = [];
  /** `seq` of the Welcomes with which it joined. */
  readonly welcomed: number[] = [];
  /** Violations of the order in its streams. */
  readonly streamFaults: string[] = [];
  /** What it found out about the log. The service of the model is honest. */
  readonly logAlarms: string[] = [];
  signatureKey = '';
  readonly #service: Service;
  readonly #user: string;
  readonly #device: string;
  readonly #place: number;
  readonly #events: ActorEvents;
  readonly #crashMutex = new Mutex();
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

  /** The content of its store, from which another process can start. */
  snapshot(): [string, string][] {
    return this.#current().store.entries();
  }

  /** The messages that it has of a group, even if its state of the group is gone. */
  async history(id: string): Promise<ReceivedMessage[]> {
    return new GroupStore(this.#current().store, id, await trustingMls()).messages();
  }

  /** Starts a process of the device from the store of the last process. */
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
    const client = new ModelClient(http, (id, text) => this.#events.onSending(id, this.#user, text), this);
    const store = memoryStore(entries);
    const device = await MlsDevice.open({
      mls: tsMls,
      api: client,
      user: this.#user,
      device: this.#device,
      keyPackages: 3,
      store,
      onRejoin: (group, reason) => {
        const why = describeReason(reason);
        this.rejoinReasons.push(`${group.position}: ${why}`);
        this.#events.onRejoin(this.name, group.position, why);
      },
      onLogEvent: (_group, event) => void this.logAlarms.push(JSON.stringify(event)),
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
    this.#running = { device, client, store, die, death, sending: new Mutex() };
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
          // A gap in `seq` is allowed: the user was not a member there, or the device joined after it.
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

  /** Ends the process at once and starts another one from the durable store. There are never two at a time. */
  crash(): Promise<void> {
    return this.#crashMutex.runExclusive(() => this.#crash());
  }

  async #crash(): Promise<void> {
    const { die, store } = this.#current();
    const left = store.entries();
    die();
    const wasConnected = this.isConnected;
    void this.disconnect();
    await this.open(left);
    if (wasConnected) this.connect();
  }

  send(id: string, text: string): Promise<SendResult> {
    const { client, device, sending } = this.#current();
    return sending.runExclusive(async () => {
      client.text = text;
      try {
        return await device.group(id).send(text);
      } finally {
        client.text = undefined;
      }
    });
  }

  /** Waits for a task of the current process. Rejects if the process dies first. */
  untilDeath<T>(task: Promise<T>): Promise<T> {
    return Promise.race([task, this.#current().death]);
  }

  /** Loses the group's state and joins again by external commit. */
  async lose(id: string): Promise<void> {
    const { device } = this.#current();
    this.losses.push({ position: device.group(id).position, isGone: true });
    await device.forget(id);
    await device.joinExternally(id);
  }

  /** Joins by a Welcome that waits, else by external commit. */
  async joinExternally(id: string): Promise<void> {
    const { device } = this.#current();
    // Record the loss first: the process may die between the acceptance and the answer.
    this.losses.push({
      position: device.groups.get(id)?.position ?? 0,
      isGone: device.groups.get(id)?.isRemoved !== false,
    });
    await device.joinExternally(id);
  }

  /** Gives up its state and joins again. It still reads older messages for which the old state has keys. */
  async resync(id: string): Promise<void> {
    const group = this.#current().device.group(id);
    this.losses.push({ position: group.position, isGone: false });
    await group.resync();
  }

  /** Proposes an Update without keeping its keys. It must join again once somebody commits the Update. */
  async proposeUpdate(id: string): Promise<void> {
    const { device, store, client } = this.#current();
    await device.group(id).save();
    const record = await new GroupStore(store, id, await trustingMls()).load();
    if (record === undefined) return;
    const suite = await loadSuite();
    const state = clientStateOf(record.state);
    const proposal = await craftUpdateProposal(state, suite);
    // A public proposal: a private one would use a message key that only the device itself may use.
    const { message } = await createProposal({ ...state, unappliedProposals: {} }, true, proposal, suite);
    this.updatesProposed.add(Number(state.groupContext.epoch));
    await client.send(id, { id: newId(), ciphertext: encodeMessage(message) });
  }

  /** Ends the process of the device for good. */
  async close(): Promise<void> {
    await this.disconnect();
    this.#running?.die();
  }

  #current(): Running {
    if (this.#running === undefined) throw new Error(`${this.name} has no running process`);
    return this.#running;
  }
}

function describeReason(reason: RejoinReason): string {
  const entry = 'seq' in reason ? ` ${reason.seq} of epoch ${reason.epoch}` : '';
  if (!('cause' in reason)) return reason.kind;
  const cause = reason.cause instanceof Error ? reason.cause.message : String(reason.cause);
  return `${reason.kind}${entry}: ${cause}`;
}
