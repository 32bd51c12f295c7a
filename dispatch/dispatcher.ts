import type { Logger } from 'pino';
import { AppError } from '../domain/errors.ts';
import type { Operation, Outcome } from '../domain/operation.ts';
import type { Metrics } from '../process/metrics.ts';
import type { Staged, StagedRequest } from '../store/staging/stage.ts';
import type { Draft, Submitter } from './command.ts';
import { Lane, type LaneDeps, type Waiting } from './conversation-queue.ts';
import type { Path, PathName } from './executor.ts';
import type { Stager } from './stager.ts';

export interface SubmitterDeps {
  readonly pathOf: (conversation: string) => PathName;
  readonly paths: Readonly<Record<PathName, Path>>;
  readonly stager: Stager;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Operations that may wait in one lane. */
  readonly mailboxLimit: number;
}

/** Part of a lane that one user can fill, so that others always find room. */
const SHARE_OF_USER = 1 / 4;

/** All lanes of this process. */
export interface Lanes extends Submitter {
  /** Operations that wait, in all lanes. */
  readonly depth: () => number;
  /** Conversations with something in flight. */
  readonly active: () => number;
}

/** Builds the one entrance to conversations. */
export function makeLanes(deps: SubmitterDeps): Lanes {
  const lanes = new Map<string, Lane>();
  const { metrics } = deps;

  const laneDeps: LaneDeps = {
    pathOf: deps.pathOf,
    apply: (path, batch) => deps.paths[path](batch),
    stage: (draft) => stageDraft(deps.stager, draft),
    discard: (keys) => {
      // The sweep deletes what stays.
      deps.stager.discard(keys).catch((error: unknown) => deps.log.warn({ err: error }, 'staged rows not discarded'));
    },
    onTaken: metrics.laneWait,
    onDeferred: metrics.commitDeferred,
    onBatch: (batch, path, { outcomes, retries }, seconds) => {
      metrics.batch(path, batch.items.length, seconds);
      batch.items.forEach(({ operation }, i) => {
        const outcome = outcomes[i];
        if (outcome === undefined || isDeferred(outcome)) return;
        metrics.operation(operation.kind, describe(outcome), path);
      });
      const { id, conversation, requests } = batch;
      deps.log.info(
        {
          batch: id,
          conversation,
          path,
          operations: batch.items.length,
          retries,
          ms: Math.round(seconds * 1000),
          requests,
        },
        'batch decided',
      );
    },
  };

  const open = (conversation: string): Lane => {
    const lane = new Lane(conversation, laneDeps, () => {
      if (lane.depth === 0 && lanes.get(conversation) === lane) lanes.delete(conversation);
    });
    return lane;
  };
  const enter = (draft: Draft): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const { conversation } = draft;
      let lane = lanes.get(conversation);
      if (lane === undefined) lanes.set(conversation, (lane = open(conversation)));
      const isFull = lane.depth >= deps.mailboxLimit || lane.depthOf(draft.user) >= deps.mailboxLimit * SHARE_OF_USER;
      if (isFull) {
        reject(new AppError('overloaded'));
        return;
      }
      const waiting: Waiting = {
        draft,
        since: performance.now(),
        settled: false,
        settle: (result: Outcome | Error) => {
          if (waiting.settled) return;
          waiting.settled = true;
          clearTimeout(timer);
          if (result instanceof Error) reject(result);
          else resolve(result);
        },
      };
      const timer = setTimeout(
        () => waiting.settle(new AppError('deadline')),
        Math.max(0, draft.deadline - Date.now()),
      );
      lane.push(waiting);
    });

  return {
    submit: async (draft) => {
      const startedAt = performance.now();
      const { kind } = draft.operation;
      try {
        const outcome = await enter({ ...draft, operation: { ...draft.operation, notAfter: draft.deadline } });
        const seconds = (performance.now() - startedAt) / 1000;
        metrics.actorMessageDuration(kind, seconds);
        if (kind === 'commit' && outcome.status === 'accepted') metrics.epochIncrement(seconds);
        if (outcome.status === 'refused' && outcome.code === 'epoch-conflict') metrics.epochConflict();
        return outcome;
      } catch (error) {
        const code = error instanceof AppError ? error.code : 'internal';
        if (code === 'overloaded') metrics.actorMailboxFull();
        metrics.actorMessageDrop(code);
        throw error;
      }
    },
    depth: () => [...lanes.values()].reduce((sum, lane) => sum + lane.depth, 0),
    active: () => lanes.size,
  };
}

function stageDraft(stager: Stager, { conversation, user, operation, bytes, deadline }: Draft): Promise<Staged> {
  return stager.stage(
    {
      conversation,
      user,
      epoch: 'epoch' in operation ? operation.epoch : undefined,
      ciphertext: bytes?.ciphertext ?? new Uint8Array(),
      welcome: bytes?.welcome,
      groupInfo: bytes?.groupInfo,
      request: stagedRequest(operation),
    },
    deadline,
  );
}

/** What no history may hold beside the bytes (invariant 10). Absent parts vanish in JSON. */
function stagedRequest(operation: Operation): StagedRequest | undefined {
  switch (operation.kind) {
    case 'commit': {
      const { adds = [], removes = [], refs, uses, leaves, trimmed, dropped, external } = operation;
      return { adds, removes, ...definedOf({ refs, uses, leaves, trimmed, dropped, external }) };
    }
    case 'group-info':
      return definedOf({ leaves: operation.leaves });
    case 'report':
      return definedOf({ reason: operation.reason, epochAuthenticator: operation.epochAuthenticator });
    default:
      return undefined;
  }
}

function definedOf<T extends object>(parts: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const defined = Object.entries(parts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Not decided yet. */
function isDeferred(outcome: Outcome): boolean {
  return outcome.status === 'refused' && outcome.code === 'deferred';
}

function describe(outcome: Outcome): string {
  return outcome.status === 'refused' ? outcome.code : outcome.status;
}
