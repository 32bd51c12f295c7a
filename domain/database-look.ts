/** What the database says of itself and of the work that is due. Ages in milliseconds. */
export interface DatabaseLook {
  /** Client connections of the whole server, by state. */
  readonly connections: ReadonlyMap<string, number>;
  readonly connectionsLimit: number;
  readonly oldestTransactionMs: number;
  /** Sessions that wait for a lock. */
  readonly lockWaits: number;
  /** Of the slowest replica; 0 = there is none, or this role may not see it. */
  readonly replicationLagMs: number;
  readonly commits: number;
  readonly rollbacks: number;
  readonly deadlocks: number;
  readonly blocksFromCache: number;
  readonly blocksFromDisk: number;
  readonly walBytes: number;
  /** The index that allows one commit per epoch exists and is valid. */
  readonly hasEpochGuard: boolean;
  /** Conversations whose due time is past; counted up to a bound. */
  readonly overdue: number;
  readonly overdueMs: number;
  /** Answered increments that are not counted yet; counted up to a bound. */
  readonly pendingIncrements: number;
  readonly pendingIncrementsMs: number;
  readonly databaseBytes: number;
  /** Transactions since the oldest one that is not frozen. */
  readonly xidAge: number;
  /** By table. */
  readonly liveRows: ReadonlyMap<string, number>;
  readonly deadRows: ReadonlyMap<string, number>;
}
