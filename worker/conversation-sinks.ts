import type { InjectedSinks } from '@temporalio/worker';
import { LRUCache } from 'lru-cache';
import type { Metrics } from '../process/metrics.ts';
import type { ConversationSinks } from '../workflows/conversation/sinks.ts';

/** Conversation runs in the cache of this worker. */
export interface Residents {
  readonly count: () => number;
  /** Operations that wait in these runs. */
  readonly queued: () => number;
}

/**
 * Creates the sinks: conversation runs report their start, end and mailbox size, and the sinks count them in metrics.
 * @param maxResidents size of the worker's cache. A terminated run reports no end; it is dropped as the oldest entry.
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
        // Also during replay: the rebuild of a run from its history is counted here.
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
