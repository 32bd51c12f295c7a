import type { CiphersuiteImpl, Welcome } from 'ts-mls';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { DeviceIdentity } from './identity.ts';
import type { OwnKeyPackage } from '../mls/tree.ts';
import { makeKeyPackage, unwire, wire } from '../mls/tree.ts';
import type { DeviceStore } from '../storage/device-store.ts';

export interface PoolOptions {
  readonly api: Pick<ParleyClient, 'uploadKeyPackages' | 'replaceKeyPackages' | 'keyPackageCount'>;
  readonly identity: DeviceIdentity;
  readonly suite: CiphersuiteImpl;
  readonly store: DeviceStore;
  /** Key packages to have in store at the service, beside the last resort. */
  readonly size: number;
}

interface StoredKeyPackage {
  readonly keyPackage: string;
  readonly initPrivateKey: string;
  readonly hpkePrivateKey: string;
  readonly isLastResort: boolean;
}

const PREFIX = 'key-package/';

/** The key packages of a device: public halves at the service, secrets in its store (RFC 9420 §10, §16.8). */
export class KeyPackagePool {
  readonly #options: PoolOptions;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Uploads as many as are missing, and a last resort if there is none. */
  async topUp(): Promise<void> {
    const { api, size, store } = this.#options;
    const stock = await api.keyPackageCount();
    const known = await store.keys(PREFIX);
    // The secrets of what is in store are gone: nobody must be given these any more.
    const isLost = known.length === 0 && (stock.available > 0 || stock.lastResort);
    const missing = isLost ? size : size - stock.available;
    const lastResort = stock.lastResort && !isLost ? undefined : await this.#make(true);
    if (missing <= 0 && lastResort === undefined) return;
    const keyPackages = await this.#makeAll(missing);
    const upload = { keyPackages, ...(lastResort === undefined ? {} : { lastResort }) };
    await (isLost ? api.replaceKeyPackages(upload) : api.uploadKeyPackages(upload));
  }

  /** Replaces all of them, for example when their secrets may have leaked. */
  async replace(): Promise<void> {
    const { api, size, store } = this.#options;
    const old = await store.keys(PREFIX);
    await api.replaceKeyPackages({ keyPackages: await this.#makeAll(size), lastResort: await this.#make(true) });
    for (const key of old) await store.delete(key);
  }

  /** The one that a Welcome was made for (RFC 9420 §12.4.3.1); `undefined` if its secrets are not here. */
  async findFor({ secrets }: Welcome): Promise<OwnKeyPackage | undefined> {
    for (const { newMember } of secrets) {
      const own = await this.#load(toBase64(newMember));
      if (own !== undefined) return own;
    }
    return undefined;
  }

  /** Forgets what was used, once the group that it led into is durable; a last resort is replaced soon after its use. */
  async spend({ ref, isLastResort }: OwnKeyPackage): Promise<void> {
    const { api, store } = this.#options;
    // Others may have claimed a last resort as well, and their Welcomes are on the way.
    if (isLastResort) await api.uploadKeyPackages({ keyPackages: [], lastResort: await this.#make(true) });
    else await store.delete(`${PREFIX}${ref}`);
  }

  async #makeAll(count: number): Promise<string[]> {
    const made: string[] = [];
    while (made.length < count) made.push(await this.#make(false));
    return made;
  }

  /** A new one, whose secrets are durable before anybody sees it. */
  async #make(isLastResort: boolean): Promise<string> {
    const { identity, suite, store } = this.#options;
    const { ref, publicPackage, privatePackage } = await makeKeyPackage(identity, suite, isLastResort);
    const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: publicPackage });
    const stored: StoredKeyPackage = {
      keyPackage,
      initPrivateKey: toBase64(privatePackage.initPrivateKey),
      hpkePrivateKey: toBase64(privatePackage.hpkePrivateKey),
      isLastResort,
    };
    await store.set(`${PREFIX}${ref}`, JSON.stringify(stored));
    return keyPackage;
  }

  async #load(ref: string): Promise<OwnKeyPackage | undefined> {
    const text = await this.#options.store.get(`${PREFIX}${ref}`);
    if (text === undefined) return undefined;
    const stored = JSON.parse(text) as StoredKeyPackage;
    const message = unwire(stored.keyPackage);
    if (message.wireformat !== 'mls_key_package') throw new Error('not a KeyPackage');
    const privatePackage = {
      initPrivateKey: fromBase64(stored.initPrivateKey),
      hpkePrivateKey: fromBase64(stored.hpkePrivateKey),
      signaturePrivateKey: this.#options.identity.signatureKeyPair.signKey,
    };
    return { ref, publicPackage: message.keyPackage, privatePackage, isLastResort: stored.isLastResort };
  }
}
