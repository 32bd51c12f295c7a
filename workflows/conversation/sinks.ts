import { type Sinks, proxySinks } from '@temporalio/workflow';

/** Calls from a run to its worker, for metrics. */
export interface ConversationSinks extends Sinks {
  conversation: {
    /** A run was loaded on this worker. `replaying`: it was rebuilt from its history after a crash or an eviction. */
    started: (how: { readonly replaying: boolean; readonly continued: boolean }) => void;
    ended: (reason: string) => void;
    mailbox: (depth: number) => void;
  };
}

export const sinks = proxySinks<ConversationSinks>();
