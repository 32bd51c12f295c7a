import { LRUCache } from 'lru-cache';
import type { CommandKind } from '../domain/command.ts';
import type { ProblemCode } from '../domain/errors.ts';

/** An operation that ended without a decision. It names no user. */
export interface RecentFailure {
  /** RFC 3339. */
  readonly at: string;
  readonly kind: CommandKind;
  readonly code: ProblemCode;
  /** How long it had waited; milliseconds. */
  readonly waitedMs: number;
}

/** Conversations whose failures are known. Some kilobytes each. */
const CONVERSATIONS = 1000;
const PER_CONVERSATION = 5;

/** The newest failures of each conversation in this process, for operators. */
export class RecentFailures {
  readonly #failures = new LRUCache<string, readonly RecentFailure[]>({ max: CONVERSATIONS });

  note(conversation: string, failure: Omit<RecentFailure, 'at'>): void {
    const before = this.#failures.get(conversation) ?? [];
    const newest = { at: new Date().toISOString(), ...failure };
    this.#failures.set(conversation, [newest, ...before].slice(0, PER_CONVERSATION));
  }

  /** The newest first. */
  of(conversation: string): readonly RecentFailure[] {
    return this.#failures.get(conversation) ?? [];
  }
}
