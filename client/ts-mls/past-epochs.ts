import type { ClientState } from 'ts-mls';
import { addHistoricalReceiverData } from 'ts-mls/clientState.js';

/**
 * The state after a join by external commit, with the keys of the past epochs that the device's state before it has. A
 * message of a past epoch may come after the commit (RFC 9420 §15.3), and only these keys can read it: an external commit
 * gives its sender no secret of an earlier epoch (RFC 9420 §12.4.3.2).
 */
export function withPastEpochs(state: ClientState, before: ClientState): ClientState {
  const [past] = addHistoricalReceiverData(before);
  const kept = [...new Map([...past, ...state.historicalReceiverData])]
    .filter(([epoch]) => epoch < state.groupContext.epoch)
    .sort(([a], [b]) => Number(b - a))
    .slice(0, state.clientConfig.keyRetentionConfig.retainKeysForEpochs);
  return { ...state, historicalReceiverData: new Map(kept.reverse()) };
}
