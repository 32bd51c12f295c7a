import type { WaitedFor } from '../process/progress.ts';
import type { ExecutionPath } from './executor.ts';

/** A line names no more operations than this. */
const MOST_IDS = 10;

/** What each line about a batch that was not decided names. */
export interface BatchFacts {
  readonly conversation: string;
  readonly correlationIds: readonly string[];
  /** Operation ids, of a large batch the first ones. */
  readonly operations: readonly string[];
  readonly path: ExecutionPath;
  readonly waitedFor: WaitedFor;
}

export function batchFacts(
  {
    conversation,
    commands,
    correlationIds,
  }: {
    readonly conversation: string;
    readonly commands: readonly { readonly id: string }[];
    readonly correlationIds: readonly string[];
  },
  path: ExecutionPath,
  waitsFor: WaitedFor,
): BatchFacts {
  const operations = commands.slice(0, MOST_IDS).map(({ id }) => id);
  return { conversation, correlationIds, operations, path, waitedFor: waitsFor };
}
