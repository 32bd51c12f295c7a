/** What the checks of MLS bytes need to know of the conversation that they are for. */
export interface Group {
  /** Bytes of `opaque` conversations are not looked at. */
  readonly protocol: 'mls' | 'opaque';
  /** RFC 9420 §8.1; its base64url is the conversation id. */
  readonly groupId: Buffer;
}
