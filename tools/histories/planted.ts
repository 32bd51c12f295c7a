/** What the recorded conversations carried and no history may hold (invariant 10). */
export const PLANTED = {
  /** Sends messages and commits, and nothing else. */
  sender: 'did:example:planted-sender',
  added: 'did:example:planted-newcomer',
  ciphertext: Buffer.from('planted ciphertext, which only members may see'),
  commit: Buffer.from('planted commit'),
  welcome: Buffer.from('planted Welcome'),
  groupInfo: Buffer.from('planted GroupInfo'),
  /** Of a report: the user's own text. */
  reason: 'planted reason why nothing goes on',
} as const;
