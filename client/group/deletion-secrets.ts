import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { DeviceStore } from '../storage/device-store.ts';

const STORE_KEY = 'deletion-key';
const KEY_BYTES = 32;
const LABEL = 'parley delete v1';

/** `CryptoKey`, a name that only browsers have. */
type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/**
 * The secrets with which a device deletes the bodies of its messages: HMAC-SHA256 of a key of the device over a label, the conversation
 * and the message id. So each message has its own, the service cannot tell which messages are of one device, and nothing has to be
 * kept for each message. A device that loses its store, and other devices of the user, cannot delete them.
 */
export class DeletionSecrets {
  readonly #store: DeviceStore;
  #key: Promise<Key> | undefined;

  constructor(store: DeviceStore) {
    this.#store = store;
  }

  /** 32 bytes; the same for the same message. */
  async of(conversation: string, messageId: string): Promise<Uint8Array<ArrayBuffer>> {
    this.#key ??= this.#loadKey();
    // Neither a conversation id nor a message id has a line break.
    const text = new TextEncoder().encode([LABEL, conversation, messageId].join('\n'));
    return new Uint8Array(await crypto.subtle.sign('HMAC', await this.#key, text));
  }

  async #loadKey(): Promise<Key> {
    let stored = await this.#store.get(STORE_KEY);
    if (stored === undefined) {
      stored = toBase64(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
      await this.#store.write([[STORE_KEY, stored]]);
    }
    return crypto.subtle.importKey('raw', fromBase64(stored), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  }
}
