import { signToken } from '../../ops/stack/development-token.ts';
import { ParleyClient } from '../kit/client.ts';
import { MlsDevice } from '../kit/device.ts';
import type { MlsGroup } from '../kit/group.ts';
import { createHttp } from '../kit/http.ts';
import { memoryStore } from '../kit/store.ts';
import { TEST_JWT_SECRET } from '../support/processes.ts';

/** Where a device came into the group: entries of earlier epochs it cannot read. */
interface Stay {
  readonly seq: number;
  readonly epoch: number;
}

/** One device of a model run: what survives its crashes, and what it may be asked for at the end. */
export class Player {
  readonly name: string;
  readonly user: string;
  readonly errors: unknown[] = [];
  device: MlsDevice;
  /** The newest way in; absent = it is not in the group. */
  stay: Stay | undefined;
  /** Base URL of the API process that it talks to. */
  url: string;
  #store: ReturnType<typeof memoryStore>;
  #live: { readonly stop: AbortController; readonly running: Promise<void> } | undefined;

  private constructor(name: string, url: string, store: ReturnType<typeof memoryStore>, device: MlsDevice) {
    this.name = name;
    this.user = device.user;
    this.url = url;
    this.#store = store;
    this.device = device;
  }

  /** @param name as `alice/phone` */
  static async open(name: string, url: string): Promise<Player> {
    const store = memoryStore();
    return new Player(name, url, store, await openDevice(name, url, store));
  }

  group(conversation: string): MlsGroup | undefined {
    return this.device.groups.get(conversation);
  }

  isIn(conversation: string): boolean {
    return this.stay !== undefined && this.group(conversation)?.isRemoved === false;
  }

  get isLive(): boolean {
    return this.#live !== undefined;
  }

  /** Follows everything by `/v1/events`. */
  connect(): void {
    if (this.#live !== undefined) return;
    const stop = new AbortController();
    const running = this.device
      .run({ signal: stop.signal, onError: (error) => void this.errors.push(error) })
      .catch((error: unknown) => void this.errors.push(error));
    this.#live = { stop, running };
  }

  async disconnect(): Promise<void> {
    const live = this.#live;
    this.#live = undefined;
    live?.stop.abort();
    await live?.running;
  }

  /** The process of the device dies; a new one goes on from what the store had at that moment, at another API. */
  async crash(url = this.url): Promise<void> {
    const wasLive = this.isLive;
    this.#store = memoryStore(this.#store.entries());
    await this.disconnect();
    this.url = url;
    this.device = await openDevice(this.name, url, this.#store);
    if (wasLive) this.connect();
  }
}

async function openDevice(name: string, baseUrl: string, store: ReturnType<typeof memoryStore>): Promise<MlsDevice> {
  const [user = '', device = ''] = name.split('/');
  const token = signToken({ secret: TEST_JWT_SECRET, audience: 'parley', user, device });
  const api = new ParleyClient(createHttp({ baseUrl, token: () => token }));
  return MlsDevice.open({ api, user, device, store, keyPackages: 3 });
}
