import type { ParleyClient } from '../api/parley-client.ts';
import type { MlsLibrary, OwnKeyPackage } from '../mls/mls-library.ts';
import type { DeviceStore, StoreChange } from '../storage/device-store.ts';
import type { DeviceIdentity } from './identity.ts';

export interface PoolOptions {
  readonly api: Pick<ParleyClient, 'uploadKeyPackages' | 'replaceKeyPackages' | 'keyPackageCount'>;
  readonly identity: DeviceIdentity;
  readonly mls: MlsLibrary;
  readonly store: DeviceStore;
  /** Number of key packages that the service should hold, without the last resort. */
  readonly size: number;
}

/** The form in a store: the key package, its secrets by name, and whether it is a last resort. */
type StoredKeyPackage = Readonly<Record<string, string>> & {
  readonly keyPackage: string;
  readonly isLastResort: boolean;
};

const PREFIX = 'key-package/';
/** Before the epoch authenticator of an epoch that began here with a last resort. The value is the end of its secrets, ms since 1970. */
const BEGUN = 'begun/';
/** A Welcome waits so long for its device, and may be for a key package that has ended meanwhile. */
const KEPT_AFTER_MS = 30 * 24 * 3600 * 1000;

/** The key packages of a device: the service holds the public parts, the device's store the secrets (RFC 9420 §10, §16.8). */
export class KeyPackagePool {
  readonly #options: PoolOptions;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Uploads the missing key packages, and a last resort if the service has none. */
  async topUp(): Promise<void> {
    const { api, size } = this.#options;
    const stock = await api.keyPackageCount();
    const known = await this.#dropEnded();
    // The store lost the secrets of the key packages that the service holds, so no other device may get these any more.
    const isLost = known.length === 0 && (stock.available > 0 || stock.lastResort);
    const missing = isLost ? size : size - stock.available;
    const lastResort = stock.lastResort && !isLost ? undefined : await this.#make(true);
    if (missing <= 0 && lastResort === undefined) return;
    const keyPackages = await this.#makeAll(missing);
    const upload = { keyPackages, ...(lastResort === undefined ? {} : { lastResort }) };
    await (isLost ? api.replaceKeyPackages(upload) : api.uploadKeyPackages(upload));
  }

  /** Replaces all key packages, for example when their secrets may have leaked. */
  async replace(): Promise<void> {
    const { api, size, store } = this.#options;
    const old = await store.keys(PREFIX);
    await api.replaceKeyPackages({ keyPackages: await this.#makeAll(size), lastResort: await this.#make(true) });
    await store.write(old.map((key) => [key, undefined]));
  }

  /** The key package that a Welcome is for (RFC 9420 §12.4.3.1); `undefined` if the store lacks its secrets. */
  async findFor(welcome: string): Promise<OwnKeyPackage | undefined> {
    for (const ref of this.#options.mls.readWelcome(welcome)) {
      const own = await this.#load(ref);
      if (own !== undefined) return own;
    }
    return undefined;
  }

  /**
   * What the device notes in the write that saves the group that it has joined by a Welcome. A restored service gives a used Welcome out
   * again, and its group must not begin a second time: it would use the same keys for other messages.
   * @param epochAuthenticator of the epoch that began so: whoever gives the Welcome out can change bytes of it, but not this
   */
  noteUse({ ref, message, isLastResort }: OwnKeyPackage, epochAuthenticator: string): StoreChange {
    if (!isLastResort) return [`${PREFIX}${ref}`, undefined];
    return [`${BEGUN}${epochAuthenticator}`, String(this.#endOf(message))];
  }

  /** Has this device begun this epoch by a Welcome before? */
  async hasBegun(epochAuthenticator: string): Promise<boolean> {
    return (await this.#options.store.get(`${BEGUN}${epochAuthenticator}`)) !== undefined;
  }

  /**
   * Deletes a used key package. Call it after the state of the joined group is durable. A last resort is replaced by a new
   * one instead.
   */
  async spend({ ref, isLastResort }: OwnKeyPackage): Promise<void> {
    const { api, store } = this.#options;
    // The old last resort stays: other devices may have claimed it too, and their Welcomes need its secrets.
    if (isLastResort) await api.uploadKeyPackages({ keyPackages: [], lastResort: await this.#make(true) });
    else await store.write([[`${PREFIX}${ref}`, undefined]]);
  }

  /**
   * Deletes the secrets that no Welcome can need any more: of spares, of last resorts, and of what nobody claimed. With them go the
   * notes of the Welcomes that were for them.
   * @returns keys of those that stay
   */
  async #dropEnded(): Promise<string[]> {
    const { store } = this.#options;
    const [kept, ended]: [string[], string[]] = [[], []];
    for (const key of await store.keys(PREFIX)) {
      const own = await this.#load(key.slice(PREFIX.length));
      const hasEnded = own !== undefined && this.#endOf(own.message) < Date.now();
      (hasEnded ? ended : kept).push(key);
    }
    for (const key of await store.keys(BEGUN)) if (Number(await store.get(key)) < Date.now()) ended.push(key);
    if (ended.length > 0) await store.write(ended.map((key) => [key, undefined]));
    return kept;
  }

  /** Until then a Welcome may need the secrets, ms since 1970. */
  #endOf(keyPackage: string): number {
    return this.#options.mls.endOf(keyPackage) + KEPT_AFTER_MS;
  }

  /** A new key package that the service does not hold, for a request to join. */
  async spare(): Promise<OwnKeyPackage> {
    const made = await this.#makeOne(false);
    await this.#save(made);
    return made;
  }

  async #makeAll(count: number): Promise<string[]> {
    const made: string[] = [];
    while (made.length < count) made.push(await this.#make(false));
    return made;
  }

  /** A new key package. Its secrets are durable before another device can see it. */
  async #make(isLastResort: boolean): Promise<string> {
    return this.#save(await this.#makeOne(isLastResort));
  }

  #makeOne(isLastResort: boolean): Promise<OwnKeyPackage> {
    const { identity, mls } = this.#options;
    return mls.newKeyPackage(identity, { isLastResort });
  }

  async #save({ ref, message, secrets, isLastResort }: OwnKeyPackage): Promise<string> {
    const stored = JSON.stringify({ keyPackage: message, ...secrets, isLastResort });
    await this.#options.store.write([[`${PREFIX}${ref}`, stored]]);
    return message;
  }

  async #load(ref: string): Promise<OwnKeyPackage | undefined> {
    const text = await this.#options.store.get(`${PREFIX}${ref}`);
    if (text === undefined) return undefined;
    const { keyPackage, isLastResort, ...secrets } = JSON.parse(text) as StoredKeyPackage;
    return { ref, message: keyPackage, secrets, isLastResort };
  }
}
