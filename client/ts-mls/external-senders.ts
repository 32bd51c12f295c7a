import type { ClientState, Extension, ExternalSender, MLSMessage } from 'ts-mls';
import { decodeExternalSender } from 'ts-mls';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { decodeVarLenType, varLenTypeEncoder } from 'ts-mls/codec/variableLength.js';
import { externalSenderEncoder } from 'ts-mls/externalSender.js';
import { fromBase64 } from '../platform/bytes.ts';

/*
 * `external_senders` is a vector of senders (RFC 9420 §12.1.8.1). ts-mls 1.6.4 takes the content of the extension for one
 * bare sender, and counts the extensions. So the GroupContext has the vector, whose bytes count for all hashes, and ts-mls
 * gets one bare sender for each element while it verifies a proposal of an external sender. Its signature covers no
 * GroupContext (RFC 9420 §6.1).
 */

/** The extension with these senders, for the GroupContext. */
export function externalSendersExtension(senders: readonly ExternalSender[]): Extension {
  const extensionData = encode(varLenTypeEncoder(externalSenderEncoder))([...senders]);
  return { extensionType: 'external_senders', extensionData };
}

/** One ExternalSender. @throws Error if the bytes are not exactly one */
export function readExternalSender(base64: string): ExternalSender {
  const bytes = fromBase64(base64);
  const decoded = decodeExternalSender(bytes, 0);
  if (decoded?.[1] !== bytes.length) throw new Error('not exactly one ExternalSender');
  return decoded[0];
}

/**
 * A new group with these extensions in its GroupContext. ts-mls 1.6.4 creates none with a vector of external senders. At
 * epoch 0 no secret and no hash depends on the extensions yet (RFC 9420 §11).
 */
export function withExtensions(state: ClientState, extensions: readonly Extension[]): ClientState {
  return { ...state, groupContext: { ...state.groupContext, extensions: [...extensions] } };
}

/** The senders of a group. @throws Error if the extension is not a vector of senders */
export function externalSendersOf({ groupContext }: Pick<ClientState, 'groupContext'>): ExternalSender[] {
  return groupContext.extensions.flatMap((extension) =>
    extension.extensionType === 'external_senders' ? readSenders(extension) : [],
  );
}

/** A state in whose GroupContext ts-mls 1.6.4 finds the external senders by their index. Only for reading a proposal. */
export function withBareSenders(state: ClientState): ClientState {
  const extensions = state.groupContext.extensions.flatMap((extension): Extension[] => {
    if (extension.extensionType !== 'external_senders') return [extension];
    return readSenders(extension).map((sender) => ({
      extensionType: 'external_senders',
      extensionData: encode(externalSenderEncoder)(sender),
    }));
  });
  return { ...state, groupContext: { ...state.groupContext, extensions } };
}

/** Whether somebody in `external_senders` sent this message. */
export function isOfExternalSender(message: MLSMessage): boolean {
  return message.wireformat === 'mls_public_message' && message.publicMessage.content.sender.senderType === 'external';
}

function readSenders({ extensionData }: Extension): ExternalSender[] {
  const decoded = decodeVarLenType(decodeExternalSender)(extensionData, 0);
  if (decoded?.[1] !== extensionData.length) throw new Error('external_senders is not a vector of senders');
  return decoded[0];
}
