import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import type { ClaimedKeyPackage, DeviceApi, KeyPackageUpload } from '../../client/index.ts';
import { ProblemError, toBase64 } from '../../client/index.ts';
import { decodeMessage, loadSuite } from '../../client/testing.ts';

interface Owner {
  readonly user: string;
  readonly device: string;
}

interface Stored extends Owner {
  readonly keyPackage: string;
  readonly ref: string;
  readonly lastResort: boolean;
  claimedFor?: string;
  isReplaced: boolean;
}

type KeyPackageApi = Pick<
  DeviceApi,
  'uploadKeyPackages' | 'replaceKeyPackages' | 'keyPackageCount' | 'claimKeyPackages' | 'claimGroupKeyPackages'
>;

const LOW_STOCK = 5;

/** The key packages of all devices, in memory. */
export class FakeKeyPackages {
  /** Called between the next claim and its answer. */
  onNextClaim: (() => Promise<void>) | undefined;
  readonly #stored: Stored[] = [];

  api(own: Owner): KeyPackageApi {
    const api: KeyPackageApi = {
      uploadKeyPackages: async (upload) => {
        await this.#add(own, upload);
        return { stored: upload.keyPackages.length, duplicates: 0, available: this.#available(own).length };
      },
      replaceKeyPackages: async (upload) => {
        for (const one of this.#stored) if (isOf(one, own)) one.isReplaced = true;
        await this.#add(own, upload);
        return { stored: upload.keyPackages.length, duplicates: 0, available: this.#available(own).length };
      },
      keyPackageCount: () => {
        const available = this.#available(own).length;
        const lastResort = this.#lastResort(own) !== undefined;
        return Promise.resolve({ available, lastResort, lowStock: available < LOW_STOCK });
      },
      claimKeyPackages: async (user, request) => {
        const conversation = request?.conversation ?? '';
        const keyPackages: ClaimedKeyPackage[] = [];
        const exhausted: string[] = [];
        const devices = new Set(this.#stored.flatMap((one) => (one.user === user ? [one.device] : [])));
        for (const device of devices) {
          if (user === own.user && device === own.device) continue;
          const found = this.#available({ user, device })[0] ?? this.#lastResort({ user, device });
          if (found === undefined) exhausted.push(device);
          else {
            found.claimedFor = conversation;
            const { keyPackage, ref, lastResort } = found;
            keyPackages.push({ device, keyPackage, ref, lastResort });
          }
        }
        const interfere = this.onNextClaim;
        this.onNextClaim = undefined;
        await interfere?.();
        return { keyPackages, exhausted };
      },
      claimGroupKeyPackages: async ({ users, conversation }) => {
        const claimed = new Map<string, readonly ClaimedKeyPackage[]>();
        const exhausted: Owner[] = [];
        const missing: { user: string; code: 'no-devices' | 'exhausted' }[] = [];
        for (const user of users) {
          const own = await api.claimKeyPackages(user, conversation === undefined ? {} : { conversation });
          exhausted.push(...own.exhausted.map((device) => ({ user, device })));
          if (own.keyPackages.length > 0) claimed.set(user, own.keyPackages);
          else missing.push({ user, code: own.exhausted.length > 0 ? 'exhausted' : 'no-devices' });
        }
        return { claimed: Object.fromEntries(claimed), exhausted, missing };
      },
    };
    return api;
  }

  /** Uses up all key packages of a device, with the last resort. */
  empty(own: Owner): void {
    for (const one of this.#stored) if (isOf(one, own)) one.isReplaced = true;
  }

  /** The devices of the KeyPackageRefs in a Welcome. @throws ProblemError `welcome-mismatch`, `key-package-stale` */
  use(refs: readonly string[], conversation: string): Owner[] {
    const found = refs.map((ref) => this.#stored.find((one) => one.ref === ref));
    const refusal = (status: number, code: string, details = {}): ProblemError =>
      new ProblemError({ title: code, code, ...details }, new Response(null, { status }));
    const stale = found.flatMap((one) => (one?.isReplaced === true ? [one.ref] : []));
    if (stale.length > 0) throw refusal(409, 'key-package-stale', { refs: stale });
    return found.map((one) => {
      if (one?.claimedFor !== conversation) throw refusal(422, 'welcome-mismatch');
      return { user: one.user, device: one.device };
    });
  }

  async #add(own: Owner, { keyPackages, lastResort }: KeyPackageUpload): Promise<void> {
    for (const keyPackage of keyPackages) this.#stored.push(await stored(own, keyPackage, false));
    if (lastResort === undefined) return;
    const old = this.#lastResort(own);
    if (old !== undefined) old.isReplaced = true;
    this.#stored.push(await stored(own, lastResort, true));
  }

  #available(own: Owner): Stored[] {
    return this.#stored.filter(
      (one) => isOf(one, own) && !one.isReplaced && !one.lastResort && one.claimedFor === undefined,
    );
  }

  #lastResort(own: Owner): Stored | undefined {
    return this.#stored.find((one) => isOf(one, own) && !one.isReplaced && one.lastResort);
  }
}

function isOf(one: Owner, { user, device }: Owner): boolean {
  return one.user === user && one.device === device;
}

async function stored(own: Owner, keyPackage: string, lastResort: boolean): Promise<Stored> {
  const message = decodeMessage(keyPackage);
  if (message.wireformat !== 'mls_key_package') throw new Error('not a KeyPackage');
  const suite = await loadSuite();
  const ref = toBase64(await makeKeyPackageRef(message.keyPackage, suite.hash));
  return { user: own.user, device: own.device, keyPackage, ref, lastResort, isReplaced: false };
}
