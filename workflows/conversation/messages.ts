import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { IncrementCommand } from '../../domain/command.ts';
import type { ConversationFacts } from '../../domain/decision.ts';
import type { PackedOutcome } from '../../domain/packed-outcome.ts';
import type { StagedCommand, StoredIncrement } from '../../domain/staged-command.ts';

/** The messages of a conversation workflow. The API, operators and tests use these definitions and nothing else. */

/** Workflow id of a conversation. */
export function conversationWorkflowId(conversation: string): string {
  return `conversation/${conversation}`;
}

/** Input of every update: references and small facts only (invariant 10). */
export interface UpdateInput {
  /** Commands, decided in this order. */
  readonly operations: readonly StagedCommand[];
  /** Correlation ids of the requests that the commands come from. */
  readonly requests: readonly string[];
}

/** Result of every update: refusals are values. */
export interface UpdateResult {
  readonly outcomes: readonly PackedOutcome[];
}

/** Types of the failures that end an update without a decision; `dispatch/temporal-errors.ts` says what the API does. */
export const FAILURE = {
  /** The run is ending; the next run takes the update at once. */
  closing: 'closing',
  /** The mailbox is full. */
  overloaded: 'overloaded',
  /** Postgres was away for longer than the local retries; the outcome is unknown. */
  infra: 'infra',
  /** A new try would only fail again. */
  defect: 'defect',
  /** The input is not what this workflow can decide. */
  malformed: 'malformed',
} as const;

export const addMembers = defineUpdate<UpdateResult, [UpdateInput]>('addMembers');
export const removeMember = defineUpdate<UpdateResult, [UpdateInput]>('removeMember');
export const commit = defineUpdate<UpdateResult, [UpdateInput]>('commit');
export const sendMessages = defineUpdate<UpdateResult, [UpdateInput]>('sendMessages');
export const resetUnread = defineUpdate<UpdateResult, [UpdateInput]>('resetUnread');
/** Roles, policy, GroupInfo, reports, reset, deletion. */
export const administer = defineUpdate<UpdateResult, [UpdateInput]>('administer');
/** Any of the updates: all have one shape. */
export type ConversationUpdate = typeof sendMessages;

/** An increment that waits to be counted. Whole ones come from processes of release 0.2.0, and stand in old histories. */
export type WaitingIncrement = StoredIncrement | IncrementCommand;
export const incrementUnread = defineSignal<[WaitingIncrement]>('incrementUnread');
/** Something may be due that the run does not know of: a direct decision set it, or nobody counted an increment. */
export const refresh = defineSignal('refresh');
/** Input of `shutdown`. */
export interface Shutdown {
  /** For people who look at the run later. */
  readonly reason: string;
}
export const shutdown = defineSignal<[Shutdown]>('shutdown');

/** For operators and tests; API traffic never queries. */
export interface ConversationState {
  readonly conversation: string;
  /** Absent until the first decision of this run. */
  readonly facts?: ConversationFacts;
  /** When the facts were true; RFC 3339, in workflow time. What was decided directly since then is not in them. */
  readonly asOf?: string;
  readonly health: 'healthy' | 'degraded';
  readonly queued: number;
  readonly pendingIncrements: number;
  /** Commands decided by this run. */
  readonly decided: number;
  readonly closing: boolean;
}

export const state = defineQuery<ConversationState>('state');
export const epoch = defineQuery<number | undefined>('epoch');

/** How a run behaves, set by the process that starts the conversation. Times in milliseconds. */
export interface ConversationSettings {
  /** A run without work completes after this time. */
  readonly idleMs: number;
  /** Commands that may wait. Further commands are refused as `overloaded`. */
  readonly mailboxLimit: number;
  /** A run does not continue as new before it is this old: the server delays the next run of a very young one. */
  readonly minimumRunMs: number;
  /** Explicit increments are applied with the next batch, or after this time. */
  readonly flushMs: number;
  /** One debug line for each batch, with its correlation ids; costs a message to the worker's main thread. */
  readonly logBatches: boolean;
  /** The namespace has the search attributes (`domain/search-attributes.ts`): the run keeps them up to date. */
  readonly searchAttributes?: boolean;
  /** What an operator had chosen for the conversation when the run began; for people. */
  readonly mode?: 'auto' | 'workflow' | 'direct';
  /** Continue as new after this many commands, for tests. */
  readonly continueAfter?: number;
}

export const DEFAULT_SETTINGS: ConversationSettings = {
  idleMs: 10 * 60_000,
  mailboxLimit: 10_000,
  minimumRunMs: 5000,
  flushMs: 500,
  logBatches: false,
};

/** Input of the workflow. */
export interface ConversationInput {
  readonly conversation: string;
  readonly settings: ConversationSettings;
  /** From the run before: increments that were not applied yet. */
  readonly increments?: readonly WaitingIncrement[];
}

/** Why a run ended. */
export interface ConversationEnd {
  readonly reason: 'idle' | 'shutdown' | 'deleted' | 'not-found';
}
