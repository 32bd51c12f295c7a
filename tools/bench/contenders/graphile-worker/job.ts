import type { PeerOutcome, WireCommand } from '../command.ts';

/** Name of the only task. */
export const DECIDE = 'decide';
/** Channel of results. Payload: JSON of a {@link Result}. */
export const RESULTS = 'graphile_results';

export interface Job {
  readonly command: WireCommand;
  /** The request that waits for the result. */
  readonly request: string;
}

export interface Result {
  readonly request: string;
  readonly outcome: PeerOutcome;
}

/** The named queue of a conversation: its jobs run one at a time, in their order. */
export function queueOf(conversation: string): string {
  return `conversation-${conversation}`;
}
