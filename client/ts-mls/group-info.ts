import type { CiphersuiteImpl, ClientState, Extension, GroupInfo } from 'ts-mls';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { decodeVarLenData, varLenDataEncoder } from 'ts-mls/codec/variableLength.js';
import { signGroupInfo } from 'ts-mls/groupInfo.js';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { encodeMessage } from './messages.ts';

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
  const externalPub: Extension = { extensionType: 'external_pub', extensionData: encode(varLenDataEncoder)(key) };
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
 * A suite with which ts-mls 1.6.4 joins by this GroupInfo: ts-mls takes the content of `external_pub` for the key, so the
 * length goes when it imports the key. A bare key, as ts-mls writes it, works too.
 */
export function joiningSuite(suite: CiphersuiteImpl, { extensions }: Pick<GroupInfo, 'extensions'>): CiphersuiteImpl {
  const { hpke } = suite;
  const externalPub = extensions.find(({ extensionType }) => extensionType === 'external_pub')?.extensionData;
  const importPublicKey: typeof hpke.importPublicKey = (key) => {
    const content = key === externalPub ? contentOf(key) : undefined;
    // A bare key can look like a vector. Then its content is not a key.
    return hpke.importPublicKey(content ?? key).catch(() => hpke.importPublicKey(key));
  };
  return { ...suite, hpke: { ...hpke, importPublicKey } };
}

/** The content of a vector (RFC 9420 §2.1.2). `undefined` if the bytes are not exactly one vector. */
function contentOf(bytes: Uint8Array): Uint8Array | undefined {
  try {
    const decoded = decodeVarLenData(bytes, 0);
    return decoded?.[1] === bytes.length ? decoded[0] : undefined;
  } catch {
    return undefined;
  }
}
