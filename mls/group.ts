/** Facts about a conversation that the checks of MLS bytes need. */
export interface Group {
  /** The service does not read the bytes of `opaque` conversations. */
  readonly protocol: 'mls' | 'opaque';
  /** The MLS group_id (RFC 9420 §8.1). Its base64url is the conversation id. */
  readonly groupId: Buffer;
}
