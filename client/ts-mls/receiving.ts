import type {
  CiphersuiteImpl,
  ClientState,
  IncomingMessageCallback,
  LeafNode,
  MLSMessage,
  PrivateMessage,
  RatchetTree,
} from 'ts-mls';
import { acceptAll, emptyPskIndex, processMessage } from 'ts-mls';
import { decryptSenderData } from 'ts-mls/privateMessage.js';
import type { MessageSender, Processed } from '../mls/mls-library.ts';
import { toBase64 } from '../platform/bytes.ts';
import { isOfExternalSender, withBareSenders } from './external-senders.ts';
import { leavesOf, leafWithKey, userOfCredential } from './tree.ts';

type ProcessedMessage = Without<Processed, 'state'> & { readonly state: ClientState };
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type Incoming = Parameters<IncomingMessageCallback>[0];

/** Processes a message of the log (RFC 9420 §6, §12.4.2). @throws Error if it is not authentic, or not for this state */
export async function processed(
  message: MLSMessage,
  before: ClientState,
  suite: CiphersuiteImpl,
): Promise<ProcessedMessage> {
  const authenticatedData = authenticatedDataOf(message);
  const isApplication =
    message.wireformat === 'mls_private_message' && message.privateMessage.contentType === 'application';
  // Before the keys of the message are used up.
  const speaker = isApplication ? await senderOf(message, before, suite) : undefined;
  let seen: Incoming | undefined;
  const result = await receive(message, before, suite, (incoming) => {
    seen = incoming;
    return 'accept';
  });
  const state = result.newState;
  if (result.kind === 'applicationMessage') {
    if (speaker === undefined) throw new Error('no leaf of the tree sent this message');
    return { kind: 'application', state, authenticatedData, sender: speaker, data: result.message };
  }
  if (seen?.kind === 'proposal') {
    const { senderLeafIndex: leaf } = seen.proposal;
    return {
      kind: 'proposal',
      state,
      authenticatedData,
      sender: leaf === undefined ? undefined : memberAt(before.ratchetTree, leaf),
    };
  }
  const { senderLeafIndex: leaf, proposals = [] } = seen ?? { senderLeafIndex: undefined };
  const sender = leaf === undefined ? joinerOf(message, state) : memberAt(before.ratchetTree, leaf);
  const removed = proposals.flatMap(({ proposal }) =>
    proposal.proposalType === 'remove' ? [proposal.remove.removed] : [],
  );
  return { kind: 'commit', state, authenticatedData, sender, isExternal: leaf === undefined, removed };
}

/** Processes a message of a group (RFC 9420 §6, §12.4.2). @throws Error if it is not authentic, or not for this state */
export async function receive(
  message: MLSMessage,
  before: ClientState,
  suite: CiphersuiteImpl,
  callback = acceptAll,
): ReturnType<typeof processMessage> {
  if (message.wireformat !== 'mls_private_message' && message.wireformat !== 'mls_public_message') {
    throw new Error(`a log has no entries of wire format ${message.wireformat}`);
  }
  const state = isOfExternalSender(message) ? withBareSenders(before) : before;
  const result = await processMessage(message, state, emptyPskIndex, callback, suite);
  if (state === before) return result;
  return { ...result, newState: { ...result.newState, groupContext: before.groupContext } };
}

/** The bytes that a message shows and authenticates, and that its sender chose (RFC 9420 §6). */
export function authenticatedDataOf(message: MLSMessage): Uint8Array {
  if (message.wireformat === 'mls_private_message') return message.privateMessage.authenticatedData;
  if (message.wireformat === 'mls_public_message') return message.publicMessage.content.authenticatedData;
  return new Uint8Array();
}

/**
 * The sender of an application message. Only the encrypted sender data names it: the service does not know it (RFC 9420
 * §6.3.2).
 * @throws Error if no leaf of its epoch can have sent it, or if the device no longer has the keys of the epoch
 */
export async function senderOf(
  message: MLSMessage,
  state: ClientState,
  suite: CiphersuiteImpl,
): Promise<MessageSender> {
  if (message.wireformat !== 'mls_private_message') throw new Error('an application message must be private');
  const { ratchetTree, senderDataSecret } = secretsOf(state, message.privateMessage);
  const data = await decryptSenderData(message.privateMessage, senderDataSecret, suite);
  const sender = data === undefined ? undefined : memberAt(ratchetTree, data.leafIndex);
  if (sender === undefined) throw new Error('no leaf of the tree sent this message');
  return sender;
}

/** The member in a leaf; `undefined`: the leaf is empty, or has no user. */
export function memberAt(tree: RatchetTree, leaf: number): MessageSender | undefined {
  const node = leavesOf(tree).get(leaf);
  return node === undefined ? undefined : member(leaf, node);
}

/** The joiner whose external commit this is, in the state after it; `undefined`: it is the commit of a member. */
export function joinerOf(
  message: MLSMessage,
  { ratchetTree }: Pick<ClientState, 'ratchetTree'>,
): MessageSender | undefined {
  if (message.wireformat !== 'mls_public_message') return undefined;
  const { content } = message.publicMessage;
  if (content.sender.senderType !== 'new_member_commit' || content.contentType !== 'commit') return undefined;
  const node = content.commit.path?.leafNode;
  const leaf = node === undefined ? undefined : leafWithKey(ratchetTree, node.signaturePublicKey);
  return node === undefined || leaf === undefined ? undefined : member(leaf, node);
}

function member(leaf: number, { credential, signaturePublicKey }: LeafNode): MessageSender | undefined {
  const user = userOfCredential(credential);
  return user === undefined ? undefined : { leaf, user, device: toBase64(signaturePublicKey) };
}

function secretsOf(
  { groupContext, ratchetTree, keySchedule, historicalReceiverData }: ClientState,
  { epoch }: PrivateMessage,
): Pick<ClientState, 'ratchetTree'> & { readonly senderDataSecret: Uint8Array } {
  if (epoch === groupContext.epoch) return { ratchetTree, senderDataSecret: keySchedule.senderDataSecret };
  const past = historicalReceiverData.get(epoch);
  if (past === undefined) throw new Error('this device no longer has the keys of this epoch');
  return past;
}
