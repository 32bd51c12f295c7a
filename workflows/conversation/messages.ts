import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ConversationFacts, IncrementOperation, Operation } from '../../domain/operation.ts';
import type { PackedOutcome } from '../../domain/outcome.ts';

/** The messages of a conversation workflow. The API, operators and tests use these definitions and nothing else. */

/** Workflow id of a conversation. */
export function conversationWorkflowId(conversation: string): string {
  return `conversation/${conversation}`;
}

/** Input of every update: references and small facts only (invariant 10). */
export interface UpdateInput {
  /** Decided in this order. */
  readonly operations: readonly Operation[];
  /** Correlation ids of the requests that the operations come from. */
  readonly requests: readonly string[];
}

/** Result of every update: refusals are values. */
export interface UpdateResult {
  readonly outcomes: readonly PackedOutcome[];
}

/** Failure types with which an update ends that was not decided; see the lane for what the API does with each. */
export const FAILURE = {
  /** The run is ending; the next one takes it at once. */
  closing: 'closing',
  /** The mailbox is full. */
  overloaded: 'overloaded',
  /** Postgres was away for longer than the local retries; the outcome is unknown. */
  infra: 'infra',
  /** Trying again would only fail again. */
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

export const incrementUnread = defineSignal<[IncrementOperation]>('incrementUnread');
/** Input of `shutdown`. */
export interface Shutdown {
  /** For people who look at the run later. */
  readonly reason: string;
}
export const shutdown = defineSignal<[Shutdown]>('shutdown');

/** What operators and tests see; API traffic never queries. */
export interface ConversationState {
  readonly conversation: string;
  /** Absent until the first decision of this run. */
  readonly facts?: ConversationFacts;
  readonly health: 'healthy' | 'degraded';
  readonly queued: number;
  readonly pendingIncrements: number;
  /** Operations decided by this run. */
  readonly decided: number;
  readonly closing: boolean;
}

export const state = defineQuery<ConversationState>('state');
export const epoch = defineQuery<number | undefined>('epoch');

/** How a run behaves; given by whoever starts the conversation. Times in milliseconds. */
export interface ConversationSettings {
  /** A run without work completes after this time. */
  readonly idleMs: number;
  /** Operations that may wait; more are refused as `overloaded`. */
  readonly mailboxLimit: number;
  /** A run does not continue as new before it is this old: the server delays the next run of a very young one. */
  readonly minimumRunMs: number;
  /** Explicit increments are applied with the next batch, or after this time. */
  readonly flushMs: number;
  /** One debug line for each batch, with its requests; costs a message to the worker's main thread. */
  readonly logBatches: boolean;
  /** Continue as new after this many operations, for tests. */
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
  readonly increments?: readonly IncrementOperation[];
}

/** Why a run ended. */
export interface ConversationEnd {
  readonly reason: 'idle' | 'shutdown' | 'deleted' | 'not-found';
}
