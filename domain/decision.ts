import type { Outcome } from './outcome.ts';

/**
 * What a decision says of the conversation after it. The workflow keeps these facts as a cache, and each result replaces
 * them, so a wrong fact never lasts.
 */
export interface ConversationFacts {
  /** False: there is no such conversation (any more). */
  readonly found: boolean;
  readonly protocol: string;
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  /** More than entries changed: members, roles, policy or the conversation itself. Streams look for it. */
  readonly changed?: true;
  /** When the conversation next needs its timer, in milliseconds since 1970. Absent = never. */
  readonly dueAt?: number;
}

/** One decision: an outcome for each command, in their order. */
export interface Decision {
  readonly facts: ConversationFacts;
  readonly outcomes: readonly Outcome[];
}
