import type { CiphersuiteImpl, ClientState } from 'ts-mls';
import { createGroupInfoWithExternalPubAndRatchetTree } from 'ts-mls';
import { encodeMessage } from './messages.ts';

/** GroupInfo of a state with its ratchet tree, as external joiners and the service need it (RFC 9420 §12.4.3). */
export async function groupInfoOf(state: ClientState, suite: CiphersuiteImpl): Promise<string> {
  const groupInfo = await createGroupInfoWithExternalPubAndRatchetTree(state, [], suite);
  return encodeMessage({ wireformat: 'mls_group_info', groupInfo });
}
