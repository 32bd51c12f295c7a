import type { CiphersuiteImpl, ClientState, Extension, GroupInfo } from 'ts-mls';
import { signGroupInfo } from 'ts-mls/groupInfo.js';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { encodeMessage } from './messages.ts';

/** Bytes of an X25519 key, the kind of the client's one cipher suite. A length below 64 is one byte (RFC 9420 §2.1.2). */
const KEY_BYTES = 32;

/**
 * GroupInfo of a state, as external joiners and the service need it (RFC 9420 §12.4.3). ts-mls 1.6.4 makes one whose
 * `external_pub` is the bare key. RFC 9420 §12.4.3.2 has a vector there, and other libraries can read nothing else.
 */
export async function makeGroupInfo(
  state: ClientState,
  suite: CiphersuiteImpl,
  { tree = true }: { readonly tree?: boolean } = {},
): Promise<GroupInfo> {
  const pair = await suite.hpke.deriveKeyPair(state.keySchedule.externalSecret);
  const key = await suite.hpke.exportPublicKey(pair.publicKey);
  const externalPub: Extension = { extensionType: 'external_pub', extensionData: Uint8Array.of(key.length, ...key) };
  const ratchetTree: Extension = {
    extensionType: 'ratchet_tree',
    extensionData: encodeRatchetTree(state.ratchetTree),
  };
  const extensions = tree ? [externalPub, ratchetTree] : [externalPub];
  const { groupContext, confirmationTag, privatePath, signaturePrivateKey } = state;
  const content = { groupContext, extensions, confirmationTag, signer: privatePath.leafIndex };
  return signGroupInfo(content, signaturePrivateKey, suite.signature);
}

/** The same with its ratchet tree, base64. */
export async function groupInfoOf(state: ClientState, suite: CiphersuiteImpl): Promise<string> {
  return encodeMessage({ wireformat: 'mls_group_info', groupInfo: await makeGroupInfo(state, suite) });
}

/**
 * A suite with which ts-mls joins by such a GroupInfo: it takes the content of `external_pub` for the key, so the length
 * goes when it imports the key. A bare key, as ts-mls writes it, stays as it is.
 */
export function joiningSuite(suite: CiphersuiteImpl): CiphersuiteImpl {
  const { hpke } = suite;
  const withoutLength = (key: Uint8Array): Uint8Array =>
    key.length === 1 + KEY_BYTES && key[0] === KEY_BYTES ? key.subarray(1) : key;
  return { ...suite, hpke: { ...hpke, importPublicKey: (key) => hpke.importPublicKey(withoutLength(key)) } };
}
