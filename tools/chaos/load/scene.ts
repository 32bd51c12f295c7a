import type { Book, Ledger } from './ledger.ts';
import type { People } from './people.ts';
import type { Tries } from './tries.ts';

/** What every action of a client needs. */
export interface Scene {
  readonly ledger: Ledger;
  readonly tries: Tries;
  readonly people: People;
  /** Within this time the service answers every request. */
  readonly deadlineMs: number;
  /** Members who act. */
  readonly users: readonly string[];
  /** A random whole number below a limit; 0 when that is 0. */
  readonly below: (limit: number) => number;
  /** Called when a guest has joined: somebody may follow its stream. */
  readonly onGuest: (conversation: string, user: string) => void;
}

/** An operation of a user in a conversation. */
export type Act = (scene: Scene, book: Book, user: string) => Promise<void>;
