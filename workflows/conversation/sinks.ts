import { type Sinks, proxySinks } from '@temporalio/workflow';

/** What a run tells its worker, for metrics. */
export interface ConversationSinks extends Sinks {
  conversation: {
    /** A run is set up on this worker; `replaying`: rebuilt from its history after a crash or an eviction. */
    started: (how: { readonly replaying: boolean; readonly continued: boolean }) => void;
    ended: (reason: string) => void;
    mailbox: (depth: number) => void;
  };
}

export const sinks = proxySinks<ConversationSinks>();
