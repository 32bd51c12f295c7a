/** Values that the recorded conversations carried. No history may contain them (invariant 10). */
export const PLANTED = {
  /** This user only sends messages and commits. */
  sender: 'did:example:planted-sender',
  added: 'did:example:planted-newcomer',
  ciphertext: Buffer.from('planted ciphertext, which only members may see'),
  commit: Buffer.from('planted commit'),
  welcome: Buffer.from('planted Welcome'),
  groupInfo: Buffer.from('planted GroupInfo'),
  /** The text that a user writes in a report. */
  reason: 'planted reason why nothing goes on',
} as const;
