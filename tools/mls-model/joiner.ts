import { toBase64 } from '../../client/index.ts';
import { decodeMessage } from '../../client/testing.ts';

/** The signature key (base64) of the device that an external commit adds (RFC 9420 §12.4.3.2). */
export function joinerOf(ciphertext: string): string | undefined {
  const message = decodeMessage(ciphertext.replaceAll('\n', ''));
  if (message.wireformat !== 'mls_public_message') return undefined;
  const { content } = message.publicMessage;
  if (content.sender.senderType !== 'new_member_commit' || content.contentType !== 'commit') return undefined;
  const leaf = content.commit.path?.leafNode;
  return leaf === undefined ? undefined : toBase64(leaf.signaturePublicKey);
}
