import type { AutoReport } from '../../dispatch/auto/auto-report.ts';
import type { Dispatcher } from '../../dispatch/dispatcher.ts';
import type { PathSetting } from '../../dispatch/path-switch.ts';
import type { StreamHub } from '../../streams/hub.ts';

/** What an API process says of itself in its row of the table `process`: numbers, and no id of a user or conversation. */
export interface ProcessFacts extends Readonly<Record<string, unknown>> {
  /** Operations that wait. */
  readonly queueDepth: number;
  /** Age of the oldest operation that nobody has answered yet. */
  readonly oldestWaitMs: number;
  readonly activeConversations: number;
  readonly openStreams: number;
  /** Batches since the start that took the direct path although the workflow is preferred, by reason. */
  readonly diversions: Readonly<Record<string, number>>;
  readonly path: PathSetting & { readonly state: AutoReport['state'] };
  /** The clock of this process less that of the database. */
  readonly clockSkewMs: number;
}

export interface ProcessFactsDeps {
  readonly dispatcher: Pick<Dispatcher, 'depth' | 'oldestMs' | 'active' | 'diversions'>;
  readonly streams: Pick<StreamHub, 'count'>;
  readonly pathSwitch: { readonly get: () => PathSetting };
  readonly autoReport: () => AutoReport;
  readonly clockSkewMs: () => number;
}

/** @returns reads the facts as they are now */
export function makeProcessFacts(deps: ProcessFactsDeps): () => ProcessFacts {
  const { dispatcher, streams, pathSwitch, autoReport, clockSkewMs } = deps;
  return () => ({
    queueDepth: dispatcher.depth(),
    oldestWaitMs: dispatcher.oldestMs(),
    activeConversations: dispatcher.active(),
    openStreams: streams.count(),
    diversions: Object.fromEntries(dispatcher.diversions()),
    path: { ...pathSwitch.get(), state: autoReport().state },
    clockSkewMs: Math.round(clockSkewMs()),
  });
}
