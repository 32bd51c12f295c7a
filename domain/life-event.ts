import type { CommandKind } from './command.ts';
import type { ProblemCode } from './errors.ts';
import type { EntryKind } from './log-entry.ts';

/**
 * Facts about the life of one conversation, for operators (docs/explanation/life.md). Never content: no ciphertext, no Welcome,
 * no token, no secret that deletes a message. All times are milliseconds since 1970.
 */

/** The conversation as it is now. */
export interface LifeHead {
  readonly type: 'head';
  readonly at: number;
  readonly state: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly oldestSeq: number;
  /** After the last entry, standard base64. */
  readonly chain?: string;
  readonly members: number;
  readonly mailbox: {
    /** In the queue of this process. */
    readonly waiting: number;
    /** Of this process: handed over, and not decided. */
    readonly inFlight: number;
    /** Of all processes: rows that wait for a decision. */
    readonly staged: number;
    readonly increments: number;
  };
  readonly path: { readonly mode: LifeMode; readonly now: LifePath; readonly reason?: string };
  readonly retention?: { readonly days: number; readonly commitDays?: number };
  readonly dueAt?: number;
  readonly incarnation?: string;
}

export type LifeMode = 'auto' | LifePath;
export type LifePath = 'workflow' | 'direct';

/** An entry of the log, without its bytes. */
export interface LifeEntry {
  readonly type: 'entry';
  /** When it was decided. */
  readonly at: number;
  readonly seq: number;
  readonly kind: EntryKind;
  readonly epoch: number;
  /** Size of the body as it was accepted, unless that is forgotten. */
  readonly bytes?: number;
  readonly sha256: string;
  readonly chain?: string;
  /** Why the body is gone. */
  readonly deleted?: 'deleted' | 'expired';
  readonly sender?: string;
}

/** An operation that a request of this process brought. */
export interface LifeOperation {
  readonly type: 'operation';
  /** When it was answered. */
  readonly at: number;
  readonly operation: string;
  readonly kind: CommandKind;
  /** Absent: it was answered before anything decided it. */
  readonly path?: LifePath;
  readonly reason?: string;
  readonly outcome: string;
  readonly seq?: number;
  readonly epoch?: number;
  readonly ms: number;
}

/** The newest run of the workflow. */
export interface LifeWorkflow {
  readonly type: 'workflow';
  readonly at: number;
  readonly workflowId: string;
  /** As Temporal names it; `NONE` = there is no run. */
  readonly status: string;
  readonly runId?: string;
  readonly historyLength?: number;
  readonly historyBytes?: number;
  readonly startedAt?: number;
  readonly closedAt?: number;
  readonly continuedFrom?: string;
  /** The workflow task that is tried now. */
  readonly taskAttempt?: number;
  readonly webUi?: string;
}

/** Plain facts of an event. */
export type LifeFacts = Readonly<Record<string, string | number | boolean>>;

/** An event of the history of a run. */
export interface LifeHistory {
  readonly type: 'history';
  readonly at: number;
  readonly runId: string;
  readonly eventId: number;
  readonly kind: string;
  readonly name?: string;
  readonly facts: LifeFacts;
}

/** What the supervisor did, or what it sees. */
export interface LifeSupervisor {
  readonly type: 'supervisor';
  readonly at: number;
  readonly action: string;
  readonly reason: string;
  readonly outcome?: string;
}

/** A part without which some facts are missing. */
export type LifePart = 'temporal' | 'postgres';

export interface LifeTrouble {
  readonly type: 'trouble';
  readonly at: number;
  readonly part: LifePart;
  readonly code: ProblemCode;
}

export interface LifeRecovered {
  readonly type: 'recovered';
  readonly at: number;
  readonly part: LifePart;
}

/** The log does not go on from the entries that were told. */
export interface LifeLogRestarted {
  readonly type: 'log-restarted';
  readonly at: number;
  readonly lastSeq: number;
  readonly oldestSeq: number;
}

export type LifeEvent =
  | LifeHead
  | LifeEntry
  | LifeOperation
  | LifeWorkflow
  | LifeHistory
  | LifeSupervisor
  | LifeTrouble
  | LifeRecovered
  | LifeLogRestarted;

/**
 * Looks for news of one conversation. The first look brings what there is, the newest part of it; each further one what has changed.
 * Only one look runs at a time.
 * @throws AppError if the part does not answer; `not-found` if there is no such conversation any more
 */
export type LookForNews = () => Promise<readonly LifeEvent[]>;
