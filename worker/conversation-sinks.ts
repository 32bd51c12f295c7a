import type { InjectedSinks } from '@temporalio/worker';
import { LRUCache } from 'lru-cache';
import type { Metrics } from '../process/metrics.ts';
import type { ConversationSinks } from '../workflows/conversation/sinks.ts';

/** Conversations that this worker holds right now. */
export interface Residents {
  readonly count: () => number;
  readonly queued: () => number;
}

/**
 * Receives what conversation runs tell their worker and turns it into metrics.
 * @param maxResidents size of the worker's cache; a run that was terminated elsewhere is forgotten by age
 */
export function makeConversationSinks(
  metrics: Metrics,
  maxResidents: number,
): { sinks: InjectedSinks<ConversationSinks>; residents: Residents } {
  /** Queued operations by run. */
  const mailboxes = new LRUCache<string, number>({ max: maxResidents });
  const sinks: InjectedSinks<ConversationSinks> = {
    conversation: {
      started: {
        // Also while replaying: that a run is rebuilt from its history is just what is to be counted.
        callDuringReplay: true,
        fn: ({ runId }, { replaying, continued }) => {
          mailboxes.set(runId, 0);
          if (replaying) metrics.actorRestarts('replay');
          else if (continued) metrics.actorRestarts('continue-as-new');
          else metrics.actorSpawns();
        },
      },
      ended: {
        callDuringReplay: false,
        fn: ({ runId }, reason) => {
          mailboxes.delete(runId);
          if (reason !== 'continue') metrics.actorStops(reason);
        },
      },
      mailbox: {
        callDuringReplay: false,
        fn: ({ runId }, depth) => void mailboxes.set(runId, depth),
      },
    },
  };
  return {
    sinks,
    residents: {
      count: () => mailboxes.size,
      queued: () => [...mailboxes.values()].reduce((sum, depth) => sum + depth, 0),
    },
  };
}
