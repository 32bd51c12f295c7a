import type { OpenedSignal, SignalKeys } from '../mls/signals.ts';
import { epochOfSignal, openSignal, sealSignal, signalKeysOf } from '../mls/signals.ts';
import type { GroupState, LeafOwner, MlsLibrary } from '../mls/mls-library.ts';
import { fromBase64, toBase64 } from '../platform/bytes.ts';

/** A signal of another device: typing, presence, a call. It is stored nowhere. */
export interface ReceivedSignal {
  /** User id in the leaf of the device that signed it. */
  readonly sender: string;
  /** Signature key of that device, base64. */
  readonly device: string;
  /** Milliseconds since 1970, by the clock of the sender. */
  readonly at: number;
  readonly data: Uint8Array;
}

/** An older or newer signal was held back, or the clock of a device is wrong. */
const MAX_AGE_MS = 5 * 60_000;
/** Signals of one device in memory, so that each counts once. Of older ones than these, none counts. */
const REMEMBERED = 64;

/**
 * The signals of one group. Nothing of them reaches the MLS state or the store: a signal that never comes costs nothing. The keys
 * of the current and the previous epoch are in memory, those before are gone.
 */
export class GroupSignals {
  readonly #mls: MlsLibrary;
  readonly #owner: LeafOwner;
  /** The keys of the current epoch; `undefined` before the first. */
  #entered: Promise<SignalKeys | undefined> = Promise.resolve(undefined);
  #previous: SignalKeys | undefined;
  #lastAt = 0;
  /** `at` of the last signals of each device, ascending; by its signature key in base64. */
  readonly #seen = new Map<string, number[]>();

  constructor(mls: MlsLibrary, owner: LeafOwner) {
    this.#mls = mls;
    this.#owner = owner;
  }

  /**
   * Takes over the keys of a state, if it is another than the last. Calls take effect one after the other.
   * @returns `undefined`: the service has lost the epoch of the state, which has no secrets any more. The keys are gone too
   */
  enter(state: GroupState): Promise<SignalKeys | undefined> {
    this.#entered = this.#entered.then(async (current) => {
      if (!this.#mls.isWhole(state)) {
        this.#previous = undefined;
        return undefined;
      }
      if (current?.authenticator === this.#mls.view(state).epochAuthenticator) return current;
      const keys = await signalKeysOf(state, this.#mls);
      this.#previous = current?.epoch === keys.epoch - 1 ? current : undefined;
      return keys;
    });
    return this.#entered;
  }

  /** @returns base64 @throws RangeError if it would be larger than the service takes @throws Error without keys */
  async seal(state: GroupState, data: Uint8Array): Promise<string> {
    const keys = await this.enter(state);
    if (keys === undefined) throw new Error('this device sends no signals until it has joined the group again');
    this.#lastAt = Math.max(Date.now(), this.#lastAt + 1);
    const content = { leafIndex: this.#mls.view(state).ownLeaf, at: this.#lastAt, data };
    return toBase64(await sealSignal(keys, content, this.#owner.signatureKeyPair.signKey, this.#mls));
  }

  /** @returns `undefined` for an own signal, one that came before, and one that this device cannot open, or not any more */
  async open(state: GroupState, base64: string): Promise<ReceivedSignal | undefined> {
    const current = await this.enter(state);
    const opened = await this.#openWith([current, this.#previous], base64);
    if (opened === undefined || Math.abs(Date.now() - opened.at) > MAX_AGE_MS) return undefined;
    const { leaf, at, data } = opened;
    const { user: sender, device } = leaf;
    const isOwn = device === current?.leaves.get(this.#mls.view(state).ownLeaf)?.device;
    if (sender === undefined || isOwn || !this.#isNew(device, at)) return undefined;
    return { sender, device, at, data };
  }

  async #openWith(known: readonly (SignalKeys | undefined)[], base64: string): Promise<OpenedSignal | undefined> {
    try {
      const sealed = fromBase64(base64);
      const epoch = epochOfSignal(sealed);
      const keys = known.find((one) => one?.epoch === epoch);
      return keys === undefined ? undefined : await openSignal(keys, sealed, this.#mls);
    } catch {
      // Whoever may send to the conversation may send anything.
      return undefined;
    }
  }

  #isNew(device: string, at: number): boolean {
    const seen = this.#seen.get(device) ?? [];
    const isTooOld = seen.length >= REMEMBERED && at < (seen[0] ?? 0);
    if (isTooOld || seen.includes(at)) return false;
    this.#seen.set(device, [...seen, at].sort((a, b) => a - b).slice(-REMEMBERED));
    return true;
  }
}
