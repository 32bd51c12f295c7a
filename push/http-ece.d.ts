declare module 'http_ece' {
  import type { ECDH } from 'node:crypto';

  interface Options {
    readonly version: 'aes128gcm';
    readonly privateKey: ECDH;
    /** Base64url. */
    readonly authSecret: string;
    /** Base64url: the public key of the other side. Decrypting reads it from the header. */
    readonly dh?: string;
    readonly salt?: string;
    readonly rs?: number;
  }
  /** Encrypted content coding (RFC 8188), with the keys of RFC 8291. */
  const ece: {
    encrypt(message: Buffer, options: Options): Buffer;
    decrypt(body: Buffer, options: Options): Buffer;
  };
  export default ece;
}
