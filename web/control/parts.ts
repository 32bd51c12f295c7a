/** The parts of the local stack that the control server knows. */
export type PartName = 'postgres' | 'temporal' | 'worker' | 'api';

/** One part of the local stack. */
export interface Part {
  readonly name: PartName;
  /** `external`: another program runs it, so nothing here can break it. */
  readonly state: 'running' | 'paused' | 'down' | 'external';
  /** Milliseconds since 1970: when it came into this state. */
  readonly since: number;
  /** How often it was started again. */
  readonly restarts: number;
}

/** What can be done to the stack. */
export type ActionName =
  | 'kill-worker'
  | 'kill-api'
  | 'stop-temporal'
  | 'kill-postgres'
  | 'terminate-workflow'
  | 'take-backup'
  | 'restore-backup';

/** The state of the local stack. */
export interface ControlState {
  readonly parts: readonly Part[];
  /** The backup of the database that can be restored. */
  readonly backup: { readonly takenAt: number } | null;
  /** The action that runs now. Only one runs at a time. */
  readonly action: { readonly what: ActionName; readonly since: number } | null;
}

/** A line that the terminal of `npm start` said. */
export interface SaidLine {
  readonly at: number;
  readonly text: string;
}
