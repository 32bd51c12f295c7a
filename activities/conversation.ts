import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import type { ConversationFacts } from '../domain/decision.ts';
import { type PackedOutcome, packOutcomes } from '../domain/packed-outcome.ts';
import type { StagedCommand } from '../domain/staged-command.ts';
import { decide } from '../store/decision/decide.ts';
import type { Notifier } from '../store/log/notifications.ts';
import { purgeDeleted, retain } from '../store/retention/retention.ts';
import { isRetryable } from '../store/sqlstate.ts';

/** Entries that one retention step touches while it holds the conversation's lock. */
const RETENTION_STEP = 1000;

/**
 * Tries go on for this long, then waiting requests end as retryable. Counted here: the SDK drops a schedule-to-close
 * timeout that passes between two tries, which while Postgres refuses connections is nearly always.
 */
const RETRY_BUDGET_MS = 6000;

/** Types of failures that end the tries: they would only repeat, or Postgres was away for too long. */
export type FinalFailure = 'defect' | 'away';

/** What the activities of a conversation need. */
export interface ConversationActivityDeps {
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  /** Told of every batch that was decided: for the log line and metrics. */
  readonly onBatch: (batch: {
    readonly conversation: string;
    readonly correlationIds: readonly string[];
    readonly operations: number;
    readonly seconds: number;
  }) => void;
  /** Told of what ends an activity: the whole error, for the log. */
  readonly onFailure: (error: unknown) => void;
}

export interface ConversationActivities {
  /** Decides a batch. Names of its fields stand in histories. */
  apply: (input: {
    readonly conversation: string;
    readonly operations: readonly StagedCommand[];
    /** Correlation ids. */
    readonly requests: readonly string[];
  }) => Promise<{ facts: ConversationFacts; outcomes: PackedOutcome[] }>;
  load: (input: { readonly conversation: string }) => Promise<ConversationFacts>;
  retain: (input: { readonly conversation: string; readonly now: number }) => Promise<ConversationFacts>;
}

/** The Postgres side of a conversation. Every call may run twice; the operations' ids make that harmless. */
export function createConversationActivities(deps: ConversationActivityDeps): ConversationActivities {
  const { pool, notifier } = deps;
  const load = async (conversation: string): Promise<ConversationFacts> => (await decide(pool, conversation, [])).facts;

  return {
    apply: ({ conversation, operations, requests }) =>
      classified(deps.onFailure, async () => {
        const startedAt = performance.now();
        const { facts, outcomes } = await decide(pool, conversation, operations);
        if (facts.found) notifier.entry(conversation, facts.lastSeq, facts.changed);
        deps.onBatch({
          conversation,
          correlationIds: requests,
          operations: operations.length,
          seconds: (performance.now() - startedAt) / 1000,
        });
        return { facts, outcomes: packOutcomes(outcomes) };
      }),

    load: ({ conversation }) => classified(deps.onFailure, () => load(conversation)),

    retain: ({ conversation, now }) =>
      classified(deps.onFailure, async () => {
        const step = await retain(pool, conversation, now, RETENTION_STEP);
        if (step === undefined) await purgeDeleted(pool, conversation, RETENTION_STEP);
        const facts = await load(conversation);
        if (step?.changed === true) notifier.entry(conversation, facts.lastSeq, true);
        return facts;
      }),
  };
}

/** Errors at the Temporal edge: what may go away goes through for another try, defects and a spent budget end them. */
async function classified<T>(onFailure: (error: unknown) => void, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const isAway = isRetryable(error);
    if (isAway && Date.now() - activityInfo().scheduledTimestampMs < RETRY_BUDGET_MS) throw error;
    const type: FinalFailure = isAway ? 'away' : 'defect';
    onFailure(error);
    // The database's own words may repeat what it was given, and failures stand in the history (invariant 10).
    throw ApplicationFailure.create({ type, message: sqlState(error), nonRetryable: true });
  }
}

function sqlState(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return code === undefined ? 'The database did not answer' : `The database answered ${code}`;
}
