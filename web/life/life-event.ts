// The facts of the operator stream, as api/schemas/life.ts has them.
export type LifePath = 'workflow' | 'direct';
export type LifePart = 'temporal' | 'postgres';

export interface LifeHead {
  readonly type: 'head';
  readonly at: number;
  readonly state: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly oldestSeq: number;
  readonly chain?: string;
  readonly members: number;
  readonly mailbox: {
    readonly waiting: number;
    readonly inFlight: number;
    readonly staged: number;
    readonly increments: number;
  };
  readonly path: { readonly mode: 'auto' | LifePath; readonly now: LifePath; readonly reason?: string };
  readonly retention?: { readonly days: number; readonly commitDays?: number };
  readonly dueAt?: number;
  readonly incarnation?: string;
}

export interface LifeEntry {
  readonly type: 'entry';
  readonly at: number;
  readonly seq: number;
  readonly kind: 'application' | 'commit' | 'proposal';
  readonly epoch: number;
  readonly bytes?: number;
  readonly sha256: string;
  readonly chain?: string;
  readonly deleted?: 'deleted' | 'expired';
  readonly sender?: string;
}

export interface LifeOperation {
  readonly type: 'operation';
  readonly at: number;
  readonly operation: string;
  readonly kind: string;
  readonly path?: LifePath;
  readonly reason?: string;
  readonly outcome: string;
  readonly seq?: number;
  readonly epoch?: number;
  readonly ms: number;
}

export interface LifeWorkflow {
  readonly type: 'workflow';
  readonly at: number;
  readonly workflowId: string;
  readonly status: string;
  readonly runId?: string;
  readonly historyLength?: number;
  readonly historyBytes?: number;
  readonly startedAt?: number;
  readonly closedAt?: number;
  readonly continuedFrom?: string;
  readonly taskAttempt?: number;
  readonly webUi?: string;
}

export interface LifeHistory {
  readonly type: 'history';
  readonly at: number;
  readonly runId: string;
  readonly eventId: number;
  readonly kind: string;
  readonly name?: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

export interface LifeSupervisor {
  readonly type: 'supervisor';
  readonly at: number;
  readonly action: string;
  readonly reason: string;
  readonly outcome?: string;
}

export interface LifeTrouble {
  readonly type: 'trouble';
  readonly at: number;
  readonly part: LifePart;
  readonly code: string;
}

export interface LifeRecovered {
  readonly type: 'recovered';
  readonly at: number;
  readonly part: LifePart;
}

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
