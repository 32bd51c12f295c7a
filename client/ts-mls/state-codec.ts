import type { ClientConfig, ClientState, ProposalWithSender } from 'ts-mls';
import { decodeGroupState, encodeGroupState } from 'ts-mls';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { decodeProposalWithSender, proposalWithSenderEncoder } from 'ts-mls/unappliedProposals.js';
import { fromBase64, toBase64 } from '../platform/bytes.ts';

export function encodeState(state: ClientState): string {
  return toBase64(encodeGroupState(state));
}

/** @throws Error if it is no state of ts-mls */
export function decodeState(base64: string, clientConfig: ClientConfig): ClientState {
  const decoded = decodeGroupState(fromBase64(base64), 0);
  if (decoded === undefined) throw new Error('the store holds no valid group state');
  return { ...decoded[0], clientConfig };
}

export function encodeProposal(proposal: ProposalWithSender): string {
  return toBase64(encode(proposalWithSenderEncoder)(proposal));
}

/** @throws Error if it is no proposal of ts-mls */
export function decodeProposal(base64: string): ProposalWithSender {
  const decoded = decodeProposalWithSender(fromBase64(base64), 0);
  if (decoded === undefined) throw new Error('the store holds no valid proposal');
  return decoded[0];
}
