import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { ConversationFacts } from '../domain/decision.ts';
import { type PackedOutcome, packOutcomes } from '../domain/packed-outcome.ts';
import type { StagedCommand } from '../domain/staged-command.ts';
import { ConversationLockedError } from '../store/decision/conversation-locked.ts';
import { decide, deciderOf } from '../store/decision/decide.ts';
import { countIncrements } from '../store/log/increments.ts';
import type { Notifier } from '../store/log/notifications.ts';
import { purgeDeleted, retain } from '../store/retention/retention.ts';
import { isRetryable } from '../store/sqlstate.ts';

/** Maximum number of entries that one retention step changes while it holds the lock of the conversation. */
const RETENTION_STEP = 1000;

/**
 * Retries end after this time, and waiting requests are answered as retryable. The time is counted here, because the
 * SDK ignores a schedule-to-close timeout that ends between two tries. While Postgres refuses connections, it nearly
 * always does.
 */
const RETRY_BUDGET_MS = 6000;
/**
 * For so long an activity waits for a conversation that somebody else has locked. Then it fails, and the API sends the update
 * again after a pause: a workflow task whose activity runs keeps one of the worker's few slots from other conversations.
 */
const LOCK_TRY_MS = 200;
/** Activities whose first try failed. All tries of one run in the same process. Some 100 bytes each. */
const FAILING = 10_000;

/**
 * Failures that end the retries: `defect` = every retry would fail again; `away` = Postgres was unreachable for too
 * long; `locked` = somebody else has the conversation locked.
 */
export type FinalFailure = 'defect' | 'away' | 'locked';

/** Dependencies of the conversation activities. */
export interface ConversationActivityDeps {
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  /** Called after each decided batch, for the log and the metrics. */
  readonly onBatch: (batch: {
    readonly conversation: string;
    readonly correlationIds: readonly string[];
    readonly operations: number;
    readonly seconds: number;
    /** Of them, the deciding call with its waits: it comes last. */
    readonly decidingSeconds: number;
  }) => void;
  /** Called with the complete error that ends an activity, for the log. */
  readonly onFailure: (error: unknown, activity: ActivityFacts) => void;
}

/** For whom an activity ran. */
export interface ActivityFacts {
  readonly conversation: string;
  /** Operations of the batch; none = the activity loads facts, or does what is due. */
  readonly commands: readonly { readonly id: string }[];
  readonly correlationIds: readonly string[];
}

export interface ConversationActivities {
  /** Decides a batch. Names of its fields stand in histories. */
  apply: (input: {
    readonly conversation: string;
    readonly operations: readonly StagedCommand[];
    /** Correlation ids. */
    readonly requests: readonly string[];
    /** How many operations each update has, in their order. Absent in histories of older releases. */
    readonly sizes?: readonly number[];
    /** The first batch of a run: it also counts the stored increments that a run before did not count. */
    readonly isFirst?: boolean;
  }) => Promise<{ facts: ConversationFacts; outcomes: PackedOutcome[] }>;
  /** Facts and due times. Also counts the stored increments that a run before did not count. */
  load: (input: { readonly conversation: string }) => Promise<ConversationFacts>;
  retain: (input: { readonly conversation: string; readonly now: number }) => Promise<ConversationFacts>;
}

/**
 * Activities of a conversation: all its calls to Postgres. A call may run twice; the ids of operations make that
 * harmless.
 */
export function createConversationActivities(deps: ConversationActivityDeps): ConversationActivities {
  const { pool, notifier } = deps;
  const classified = makeClassified(deps.onFailure);
  const load = async (conversation: string): Promise<ConversationFacts> =>
    (await decide(pool, conversation, [], [], { patienceMs: LOCK_TRY_MS })).facts;

  return {
    apply: ({ conversation, operations, requests, sizes, isFirst = false }) =>
      classified({ conversation, commands: operations, correlationIds: requests }, async () => {
        const startedAt = performance.now();
        if (isFirst) await countIncrements(pool, conversation);
        const decidingAt = performance.now();
        const { facts, outcomes } = await decide(pool, conversation, operations, [], { patienceMs: LOCK_TRY_MS });
        const decidedAt = performance.now();
        if (facts.found) notifier.entry(conversation, facts.lastSeq, facts.changed);
        deps.onBatch({
          conversation,
          correlationIds: requests,
          operations: operations.length,
          seconds: (decidedAt - startedAt) / 1000,
          decidingSeconds: (decidedAt - decidingAt) / 1000,
        });
        return { facts, outcomes: packOutcomes(outcomes, sizes) };
      }),

    load: ({ conversation }) =>
      classified(withoutCommands(conversation), async () => {
        // Those of a run that was terminated, reset or failed before it counted them.
        await countIncrements(pool, conversation);
        return load(conversation);
      }),

    retain: ({ conversation, now }) =>
      classified(withoutCommands(conversation), async () => {
        const { waitForLock } = deciderOf(pool);
        const step = await waitForLock(LOCK_TRY_MS, () => retain(pool, conversation, now, RETENTION_STEP));
        if (step === undefined) await waitForLock(LOCK_TRY_MS, () => purgeDeleted(pool, conversation, RETENTION_STEP));
        const facts = await load(conversation);
        if (step?.changed === true) notifier.entry(conversation, facts.lastSeq, true);
        return facts;
      }),
  };
}

/**
 * Turns errors into Temporal failures. Temporary errors are retried; defects and the end of the retry time end the
 * activity. The retry time is measured from the first try in this process: the times that Temporal gives are by the clock
 * of another host.
 */
function makeClassified(
  onFailure: ConversationActivityDeps['onFailure'],
): <T>(facts: ActivityFacts, run: () => Promise<T>) => Promise<T> {
  /** When the first try began, by `performance.now()`. */
  const firstTries = new LRUCache<string, number>({ max: FAILING });
  return async (facts, run) => {
    const startedAt = performance.now();
    try {
      return await run();
    } catch (error) {
      const isAway = isRetryable(error);
      const { workflowExecution, activityId } = activityInfo();
      const key = `${workflowExecution?.runId}/${activityId}`;
      const firstTry = firstTries.get(key) ?? startedAt;
      firstTries.set(key, firstTry);
      const isLocked = error instanceof ConversationLockedError;
      const isInTime = !isLocked && performance.now() - firstTry < RETRY_BUDGET_MS;
      if (isAway && isInTime) throw error;
      firstTries.delete(key);
      const type: FinalFailure = isLocked ? 'locked' : isAway ? 'away' : 'defect';
      onFailure(error, facts);
      // A database message may contain stored values, and failures are stored in the history (invariant 10).
      throw ApplicationFailure.create({
        type,
        message: isLocked ? error.message : sqlState(error),
        nonRetryable: true,
      });
    }
  };
}

function withoutCommands(conversation: string): ActivityFacts {
  return { conversation, commands: [], correlationIds: [] };
}

function sqlState(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return code === undefined ? 'The database did not answer' : `The database answered ${code}`;
}
